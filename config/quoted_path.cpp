#include "config/quoted_path.hpp"

#include <cstdint>

namespace flow_runner {
namespace {

std::uint8_t byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

bool is_continuation(std::string_view bytes, std::size_t i) {
  return i < bytes.size() && (byte_at(bytes, i) & 0xC0) == 0x80;
}

/// The letter behind the backslash for bytes that C has one for, else 0.
char escape_letter(char c) {
  switch (c) {
    case '\a':
      return 'a';
    case '\b':
      return 'b';
    case '\t':
      return 't';
    case '\n':
      return 'n';
    case '\v':
      return 'v';
    case '\f':
      return 'f';
    case '\r':
      return 'r';
    case '"':
      return '"';
    case '\\':
      return '\\';
    default:
      return 0;
  }
}

/// The inverse of escape_letter; 0 for a letter that is none.
char escaped_byte(char letter) {
  for (const char c : {'\a', '\b', '\t', '\n', '\v', '\f', '\r', '"', '\\'}) {
    if (escape_letter(c) == letter) return c;
  }
  return 0;
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

}  // namespace

std::size_t utf8_length(std::string_view bytes) noexcept {
  if (bytes.empty()) return 0;
  const std::uint8_t lead = byte_at(bytes, 0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4 || !is_continuation(bytes, 1)) return 0;
  if (lead < 0xE0) return 2;
  const std::uint8_t second = byte_at(bytes, 1);
  if (!is_continuation(bytes, 2)) return 0;
  if (lead < 0xF0) {
    const bool overlong = lead == 0xE0 && second < 0xA0;
    const bool surrogate = lead == 0xED && second > 0x9F;
    return overlong || surrogate ? 0 : 3;
  }
  if (!is_continuation(bytes, 3)) return 0;
  const bool overlong = lead == 0xF0 && second < 0x90;
  const bool too_large = lead == 0xF4 && second > 0x8F;
  return overlong || too_large ? 0 : 4;
}

bool is_utf8(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string_view utf8_prefix(std::string_view bytes, std::size_t max_bytes) noexcept {
  if (bytes.size() <= max_bytes) return bytes;
  for (std::size_t back = 1; back <= 3 && back <= max_bytes; ++back) {
    const std::size_t start = max_bytes - back;
    const std::size_t length = utf8_length(bytes.substr(start));
    if (length > back) return bytes.substr(0, start);
  }
  return bytes.substr(0, max_bytes);
}

std::string quote_path(std::string_view path) {
  std::string quoted = "\"";
  bool needed = false;
  for (const char c : path) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (const char letter = escape_letter(c); letter != 0) {
      quoted += '\\';
      quoted += letter;
      needed = true;
    } else if (byte < 0x20 || byte >= 0x7F) {
      quoted += '\\';
      quoted += static_cast<char>('0' + (byte >> 6));
      quoted += static_cast<char>('0' + ((byte >> 3) & 7));
      quoted += static_cast<char>('0' + (byte & 7));
      needed = true;
    } else {
      quoted += c;
    }
  }
  if (!needed) return std::string(path);
  return quoted + '"';
}

Result<std::string> unquote_path(std::string_view quoted) {
  if (quoted.empty() || quoted.front() != '"') return std::string(quoted);
  const Error error{ErrorCode::invalid_input, "not a path as git quotes it"};
  std::string path;
  for (std::size_t i = 1; i < quoted.size(); ++i) {
    const char c = quoted[i];
    if (c == '"') {
      if (i + 1 != quoted.size()) return error;
      return path;
    }
    if (c != '\\') {
      if (c == '\0') return error;
      path += c;
      continue;
    }
    if (++i == quoted.size()) return error;
    if (const char byte = escaped_byte(quoted[i]); byte != 0) {
      path += byte;
      continue;
    }
    if (i + 2 >= quoted.size() || quoted[i] > '3' || !is_octal(quoted[i]) ||
        !is_octal(quoted[i + 1]) || !is_octal(quoted[i + 2])) {
      return error;
    }
    const int value = (quoted[i] - '0') * 64 + (quoted[i + 1] - '0') * 8 + (quoted[i + 2] - '0');
    if (value == 0) return error;
    path += static_cast<char>(value);
    i += 2;
  }
  return error;
}

}  // namespace flow_runner
