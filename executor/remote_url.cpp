#include "executor/remote_url.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

namespace flow_runner {
namespace {

constexpr std::size_t max_url_bytes = 2048;

Error invalid(std::string message) { return {ErrorCode::invalid_input, std::move(message)}; }

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.front() == '[')
    return host.size() > 3 && host.back() == ']' &&
           std::all_of(host.begin() + 1, host.end() - 1,
                       [](char c) { return is_hex(c) || c == ':' || c == '.'; });
  // A host that began with '-' could be taken for an option somewhere down the line.
  return is_alphanumeric(host.front()) && std::all_of(host.begin(), host.end(), [](char c) {
           return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
         });
}

struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
};

Result<HostAndPort> parse_host(std::string_view text) {
  HostAndPort result;
  const std::size_t bracket = text.find(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  result.host = lower(text.substr(0, colon));
  if (!is_host(result.host))
    return invalid(
        "the repository address names no valid host: write it as https://host/group/project");
  if (colon == std::string_view::npos) return result;
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), result.port);
  if (error != std::errc() || end != digits.data() + digits.size() || result.port == 0)
    return invalid("the repository address has an invalid port: it must be 1 to 65535");
  return result;
}

/// A path in an address: one '/' between segments, none at the end.
Result<std::string> parse_path(std::string_view text) {
  std::string result;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view segment = text.substr(begin, end - begin);
    begin = end + 1;
    if (segment.empty()) continue;
    if (segment == "." || segment == "..")
      return invalid("the path of the repository address has a '" + std::string(segment) +
                     "' segment: write the whole path");
    result += '/';
    result += segment;
  }
  if (result.empty())
    return invalid("the repository address has no path: write it as https://host/group/project");
  for (std::size_t i = 0; i < result.size(); ++i) {
    const char c = result[i];
    if (c == '?' || c == '#')
      return invalid(
          "the repository address has a query or fragment: leave out what follows its path");
    // Most likely a user name or password in an address that lost a slash.
    if (c == '@')
      return invalid(
          "the path of the repository address holds an '@': leave out a user name or "
          "password, or write it as %40");
    if (c == '%') {
      if (i + 2 >= result.size() || !is_hex(result[i + 1]) || !is_hex(result[i + 2]))
        return invalid("the repository address has a '%' without two hex digits after it");
      const std::string code = lower(result.substr(i + 1, 2));
      // Decoded by a server, these would be another path than the one that was checked.
      if (code < "21" || code == "2e" || code == "2f" || code == "5c" || code == "7f")
        return invalid(
            "the path of the repository address has a percent-encoded control, space, "
            "'.', '/' or '\\'");
    } else if (!is_alphanumeric(c) &&
               std::string_view("/-._~+!$&'()*,;=:").find(c) == std::string_view::npos) {
      return invalid(
          "the path of the repository address holds a byte that must be percent-encoded");
    }
  }
  return result;
}

Result<RemoteUrl> parse_local(std::string_view text) {
  std::filesystem::path path = std::filesystem::path(text).lexically_normal();
  if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
  RemoteUrl url;
  url.path = path.string();
  return url;
}

Result<RemoteUrl> parse_web(RemoteUrl::Kind kind, std::string_view rest) {
  const std::size_t slash = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != std::string_view::npos)
    return invalid(
        "the repository address holds a user name or password: leave out what stands before '@' "
        "and "
        "give the token with --secret or --git-token-from");
  FR_TRY(auto host, parse_host(authority));
  FR_TRY(auto path, parse_path(rest.substr(slash)));
  const std::uint16_t standard = kind == RemoteUrl::Kind::https ? 443 : 80;
  return RemoteUrl{kind, std::move(host.host), host.port == standard ? std::uint16_t{0} : host.port,
                   std::move(path)};
}

/// `address` is host[:port] as in ssh, with a user name perhaps.
Result<RemoteUrl> parse_ssh(std::string_view address, std::string_view path, TokenGiven token) {
  const std::size_t at = address.rfind('@');
  if (at != std::string_view::npos) {
    if (address.substr(0, at).find(':') != std::string_view::npos)
      return invalid("the repository address holds a password: leave it out");
    address.remove_prefix(at + 1);
  }
  FR_TRY(auto host, parse_host(address));
  FR_TRY(auto checked, parse_path(path));
  RemoteUrl url{RemoteUrl::Kind::https, std::move(host.host), 0, std::move(checked)};
  if (token == TokenGiven::no)
    return invalid(
        "the repository address is an ssh one, and jobs get no ssh key: give a token with "
        "--git-token-from, then it is reached as " +
        url.text() + ", or name that address");
  return url;
}

}  // namespace

std::string RemoteUrl::origin() const {
  if (local()) return {};
  std::string result = kind == Kind::https ? "https://" : "http://";
  result += host;
  if (port != 0) result += ":" + std::to_string(port);
  return result;
}

std::string RemoteUrl::text() const { return origin() + path; }

std::string RemoteUrl::project_path() const {
  if (!local()) {
    std::string_view project = path;
    project.remove_prefix(1);
    if (project.ends_with(".git") && project.size() > 4) project.remove_suffix(4);
    return std::string(project);
  }
  std::string folder = std::filesystem::path(path).filename();
  for (char& c : folder)
    if (!is_alphanumeric(c) && c != '-' && c != '_' && c != '.') c = '-';
  const std::size_t begin = folder.find_first_not_of(".-");
  return "local/" + (begin == std::string::npos ? std::string("repository") : folder.substr(begin));
}

Result<RemoteUrl> parse_remote_url(std::string_view text, TokenGiven token) {
  if (text.empty()) return invalid("the repository address is empty");
  if (text.size() > max_url_bytes)
    return invalid("the repository address is longer than " + std::to_string(max_url_bytes) +
                   " bytes");
  if (std::any_of(text.begin(), text.end(), is_control))
    return invalid("the repository address holds a control byte");
  if (text.front() == '/') return parse_local(text);

  const std::size_t mark = text.find("://");
  if (mark != std::string_view::npos) {
    const std::string scheme = lower(text.substr(0, mark));
    const std::string_view rest = text.substr(mark + 3);
    if (scheme == "https") return parse_web(RemoteUrl::Kind::https, rest);
    if (scheme == "http") return parse_web(RemoteUrl::Kind::http, rest);
    if (scheme == "file" && rest.starts_with('/')) return parse_local(rest);
    if (scheme == "ssh" || scheme == "git+ssh") {
      const std::size_t slash = std::min(rest.find('/'), rest.size());
      return parse_ssh(rest.substr(0, slash), rest.substr(slash), token);
    }
    return invalid(
        "the repository address has a scheme that is not supported: use https://, http:// or a "
        "folder");
  }
  // The short ssh form: what stands before the first ':' has no '/'.
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find('/') > colon)
    return parse_ssh(text.substr(0, colon), text.substr(colon + 1), token);
  return invalid("the repository address is neither https://… nor an absolute folder");
}

}  // namespace flow_runner
