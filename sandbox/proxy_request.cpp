#include "sandbox/proxy_request.hpp"

#include <algorithm>
#include <charconv>

#include "config/network_policy.hpp"

namespace flow_runner {
namespace {

Error wrong(const char* message) { return {ErrorCode::invalid_input, message}; }

struct Authority {
  std::string host;
  std::uint16_t port = 0;
};

/// `host[:port]`; without a port, `default_port`, and where that is 0 an error.
Result<Authority> read_authority(std::string_view text, std::uint16_t default_port) {
  if (text.find('@') != std::string_view::npos) return wrong("the target has user information");
  Authority authority;
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return wrong("the bracket of the target is not closed");
    colon = close + 1 < text.size() ? close + 1 : std::string_view::npos;
    if (colon != std::string_view::npos && text[colon] != ':')
      return wrong("something follows the bracket of the target");
  } else if (colon != std::string_view::npos && text.find(':') != colon) {
    return wrong("an IPv6 address stands in brackets");
  }
  FR_TRY(authority.host, canonical_host(text.substr(0, colon)));
  if (colon == std::string_view::npos) {
    if (default_port == 0) return wrong("the target has no port");
    authority.port = default_port;
    return authority;
  }
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
      port == 0 || port > 65535)
    return wrong("the target's port is no number from 1 to 65535");
  authority.port = static_cast<std::uint16_t>(port);
  return authority;
}

std::size_t count(const RequestHead& request, std::string_view name) {
  return static_cast<std::size_t>(
      std::count_if(request.fields.begin(), request.fields.end(),
                    [&](const auto& field) { return same_word(field.first, name); }));
}

std::string_view value(const RequestHead& request, std::string_view name) {
  for (const auto& [key, text] : request.fields)
    if (same_word(key, name)) return text;
  return {};
}

Result<void> check_framing(const RequestHead& request) {
  const auto lengths = count(request, "content-length");
  const auto codings = count(request, "transfer-encoding");
  if (lengths + codings > 1) return wrong("the request says more than once how long its body is");
  if (request.connect && lengths + codings > 0) return wrong("CONNECT has no body");
  if (codings == 1 && !same_word(value(request, "transfer-encoding"), "chunked"))
    return wrong("the only transfer coding here is chunked");
  return {};
}

Result<void> check_host(const RequestHead& request, const Authority& target,
                        std::uint16_t default_port) {
  const auto hosts = count(request, "host");
  if (hosts > 1) return wrong("the request has two Host fields");
  if (hosts == 0) {
    if (request.version >= 11) return wrong("the request has no Host field");
    return {};
  }
  const auto host =
      read_authority(value(request, "host"), default_port == 0 ? target.port : default_port);
  if (!host || host->host != target.host || host->port != target.port)
    return wrong("the Host field is not the target's host");
  return {};
}

}  // namespace

bool same_word(std::string_view left, std::string_view right) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

Result<ProxyTarget> read_proxy_target(const RequestHead& request) {
  FR_CHECK(check_framing(request));
  std::string_view text = request.target;
  ProxyTarget target;
  target.tunnel = request.connect;
  constexpr std::string_view scheme = "http://";
  constexpr std::uint16_t http_port = 80;
  if (!target.tunnel) {
    if (!same_word(text.substr(0, scheme.size()), scheme))
      return wrong("the proxy takes CONNECT, and http:// addresses in full");
    text.remove_prefix(scheme.size());
    if (text.find('#') != std::string_view::npos) return wrong("the target has a fragment");
    const auto end = std::min(text.find_first_of("/?"), text.size());
    target.path = text.substr(end);
    if (!target.path.starts_with('/')) target.path.insert(0, "/");
    text = text.substr(0, end);
  }
  FR_TRY(const Authority authority, read_authority(text, target.tunnel ? 0 : http_port));
  FR_CHECK(check_host(request, authority, target.tunnel ? 0 : http_port));
  target.host = authority.host;
  target.port = authority.port;
  return target;
}

}  // namespace flow_runner
