#include "sandbox/registry_error.hpp"

#include <algorithm>
#include <array>

namespace flow_runner {
namespace {

constexpr std::size_t max_line = 1000;

void erase_all(std::string& text, const std::string& part) {
  if (part.empty()) return;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at))
    text.erase(at, part.size());
}

/// From `://` on: no user and password before the host, nothing after a question mark.
void clean_urls(std::string& line) {
  const auto end_of = [&](std::size_t at, const char* delimiters) {
    return std::min(line.find_first_of(delimiters, at), line.size());
  };
  for (auto at = line.find("://"); at != std::string::npos; at = line.find("://", at)) {
    at += 3;
    const auto user = std::string_view(line).substr(0, end_of(at, " \"'<>/")).rfind('@');
    if (user != std::string::npos && user >= at) line.erase(at, user + 1 - at);
    const auto end = end_of(at, " \"'<>");
    const auto query = end_of(at, "?#");
    if (query < end) line.replace(query, end - query, "?...");
  }
}

void clean_authorization(std::string& line) {
  for (const std::string_view word : {"Bearer ", "bearer ", "Basic ", "basic "}) {
    for (auto at = line.find(word); at != std::string::npos; at = line.find(word, at)) {
      at += word.size();
      const auto end = std::min(line.find_first_of(" \"',", at), line.size());
      // Words of prose are short; a credential is not.
      if (end - at >= 12) line.replace(at, end - at, "...");
    }
  }
}

/// podman's last word, without the warnings about its own retries before it.
std::string_view last_error(std::string_view output) {
  constexpr std::string_view mark = "Error: ";
  std::size_t begin = std::string_view::npos;
  for (std::size_t line = 0; line < output.size();) {
    if (output.substr(line).starts_with(mark)) begin = line + mark.size();
    const auto end = output.find('\n', line);
    if (end == std::string_view::npos) break;
    line = end + 1;
  }
  if (begin == std::string_view::npos) return output.substr(0, output.find('\n'));
  return output.substr(begin);
}

struct Pattern {
  std::string_view text;  ///< lower case
  ErrorCode code;
  std::string_view hint;
};

constexpr std::string_view denied_hint =
    "; log in (podman login, or an auth file), or check the name: registries answer so for images "
    "that do "
    "not exist, too";
constexpr std::string_view certificate_hint =
    "; if the registry has a certificate of your own authority, name that in ca_file";

// The first that occurs decides.
constexpr std::array patterns = {
    Pattern{"no space left on device", ErrorCode::invalid_input,
            "; free disk space: flow-runner image prune"},
    Pattern{"too many requests", ErrorCode::unavailable, ""},
    Pattern{"toomanyrequests", ErrorCode::unavailable, ""},
    Pattern{"x509:", ErrorCode::denied, certificate_hint},
    Pattern{"does not look like a tls handshake", ErrorCode::invalid_input,
            "; a registry without TLS must be listed as insecure in registries.conf"},
    Pattern{"http response to https client", ErrorCode::invalid_input,
            "; a registry without TLS must be listed as insecure in registries.conf"},
    Pattern{"manifest unknown", ErrorCode::not_found, ""},
    Pattern{"name unknown", ErrorCode::not_found, ""},
    Pattern{"not known to registry", ErrorCode::not_found, ""},
    Pattern{"no image found in", ErrorCode::not_found,
            "; there is none for this machine's architecture"},
    Pattern{"statuscode: 404", ErrorCode::not_found, ""},
    Pattern{"404 (not found)", ErrorCode::not_found, ""},
    Pattern{"unauthorized", ErrorCode::denied, denied_hint},
    Pattern{"authentication required", ErrorCode::denied, denied_hint},
    Pattern{"invalid username/password", ErrorCode::denied, denied_hint},
    Pattern{"403 (forbidden)", ErrorCode::denied, denied_hint},
    Pattern{"statuscode: 403", ErrorCode::denied, denied_hint},
    Pattern{"denied", ErrorCode::denied, denied_hint},
    Pattern{"policy.json", ErrorCode::denied, ""},
};

}  // namespace

std::string safe_output_line(std::string_view text) {
  // Cleaned before it is cut, so that no half of a URL escapes the rules; bounded before that all
  // the same.
  std::string line(text.substr(0, 16 * max_line));
  for (char& c : line)
    if (c < ' ' || c > '~') c = c == '\n' || c == '\t' || c == '\r' ? ' ' : '?';
  clean_urls(line);
  clean_authorization(line);
  const auto first = line.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  line = line.substr(first, line.find_last_not_of(' ') + 1 - first);
  if (line.size() > max_line) line = line.substr(0, max_line) + "...";
  return line;
}

std::string last_error_line(std::string_view output) {
  std::string line = safe_output_line(last_error(output));
  return line.empty() ? "podman gave no reason" : line;
}

bool is_unknown_image(std::string_view output) {
  return output.find("image not known") != std::string_view::npos ||
         output.find("no such image") != std::string_view::npos;
}

Error registry_error(const ImageReference& reference, std::string_view output) {
  std::string answer = last_error_line(output);
  // "initializing source docker://NAME: " tells nothing that our own words do not.
  if (const std::string_view prefix = "initializing source docker://"; answer.starts_with(prefix)) {
    if (const auto end = answer.find(": ", prefix.size()); end != std::string::npos)
      answer.erase(0, end + 2);
  }
  std::string words = answer;
  erase_all(words, reference.full_repository());
  erase_all(words, "/v2/" + reference.repository + "/");
  if (!reference.tag.empty()) erase_all(words, "manifest " + reference.tag + " in");
  std::ranges::transform(words, words.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  Error error{ErrorCode::unavailable, "cannot pull " + reference.normalized() + ": " + answer};
  for (const Pattern& pattern : patterns) {
    if (words.find(pattern.text) == std::string::npos) continue;
    error.code = pattern.code;
    error.message += pattern.hint;
    break;
  }
  return error;
}

}  // namespace flow_runner
