#include "executor/secret_forms.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string.h>
#include <utility>

#include "executor/mask_fold.hpp"
#include "executor/quoted_forms.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view white_space = " \t\r\n\v\f";
constexpr std::string_view lower_digits = "0123456789abcdef";
constexpr std::string_view upper_digits = "0123456789ABCDEF";
constexpr std::array hex_digits = {lower_digits, upper_digits};

bool is_alphanumeric(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr std::string_view base64_standard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64_url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
// Shorter pieces occur in every base64 text.
constexpr std::size_t min_base64_bytes = 4;

// The sextet `index` of a stream in which `value` starts at byte `offset`; bits outside are zero.
unsigned sextet(std::string_view value, std::size_t offset, std::size_t index) {
  const std::size_t bit = index * 6;
  const auto byte_at = [&](std::size_t at) -> unsigned {
    return at >= offset && at - offset < value.size()
               ? static_cast<unsigned char>(value[at - offset])
               : 0U;
  };
  const unsigned pair = byte_at(bit / 8) << 8 | byte_at(bit / 8 + 1);
  return pair >> (10 - bit % 8) & 63U;
}

// What comes before the value in the encoded text decides its alignment, what comes after it its
// last character; the characters made of the value's bits alone are the same in every text. The
// value may also end the text: then its last bits are followed by zeros and perhaps by padding.
void add_base64_of(std::string_view value, std::vector<std::string>& out) {
  for (std::string_view alphabet : {base64_standard, base64_url}) {
    for (std::size_t offset = 0; offset < 3; ++offset) {
      const std::size_t first = (offset * 8 + 5) / 6;
      const std::size_t bits = (offset + value.size()) * 8;
      std::string text;
      text.reserve(bits / 6 + 4);
      for (std::size_t i = first; i < bits / 6; ++i)
        text.push_back(alphabet[sextet(value, offset, i)]);
      if (text.size() >= min_base64_bytes) add_unless_known(text, out);
      if (bits % 24 == 0) continue;
      text.push_back(alphabet[sextet(value, offset, bits / 6)]);
      if (text.size() >= min_base64_bytes) add_unless_known(text, out);
      text.append(3 - (offset + value.size()) % 3, '=');
      if (text.size() >= min_base64_bytes) add_unless_known(std::move(text), out);
    }
  }
}

// In basic authentication a colon comes before it: then no bit of the value is left in the
// character that it shares with the colon.
void add_base64(std::string_view value, std::vector<std::string>& out) {
  add_base64_of(value, out);
  std::string with_colon = ":" + std::string(value);
  add_base64_of(with_colon, out);
  explicit_bzero(with_colon.data(), with_colon.size());
}

// Which printable characters an encoder leaves alone, besides letters and digits.
constexpr std::array<std::string_view, 10> percent_kept = {
    "",                                   // letters and digits only
    "_",                                  // and what counts as a letter in a word
    "-._~",                               // RFC 3986 unreserved: most libraries
    "-._~!'()*",                          // encodeURIComponent
    "-._~/",                              // paths: Python's quote
    "-._~!'()*;/?:@&=+$,#",               // encodeURI
    "-._*",                               // HTML forms
    "-._~!$&'()*+,;=",                    // RFC 3986 userinfo: tokens in URLs
    "-._~!$&'()*+,;=:@/[]^|\\",           // WHATWG URL paths
    "-._~!\"#$&'()*+,;=:@/[]^|\\<>?`{}",  // only what no text can do without
};

void add_percent_encoded(std::string_view value, std::string_view kept, bool keeps_alphanumeric,
                         std::vector<std::string>& out) {
  const bool has_space = value.find(' ') != std::string_view::npos;
  for (std::string_view digits : hex_digits) {
    for (std::string_view space : {"%20", "+"}) {
      if (space == "+" && !has_space) continue;
      std::string text;
      for (char character : value) {
        const auto c = static_cast<unsigned char>(character);
        if (character == ' ') {
          text += space;
        } else if ((keeps_alphanumeric && is_alphanumeric(c)) ||
                   kept.find(character) != std::string_view::npos) {
          text.push_back(character);
        } else {
          text.push_back('%');
          text.push_back(digits[c >> 4]);
          text.push_back(digits[c & 15]);
        }
      }
      add_unless_known(std::move(text), out);
    }
  }
}

void add_percent(std::string_view value, std::vector<std::string>& out) {
  for (std::string_view kept : percent_kept) add_percent_encoded(value, kept, true, out);
  add_percent_encoded(value, {}, false, out);
}

// Broken up by white space, punctuation and prefixes, which the search drops: MaskFold::digits().
void add_digits(std::string_view value, std::vector<std::string>& out) {
  std::string hex;      // 73 33, \x73\x33, %73%33
  std::string c_hex;    // 0x73, 0x33
  std::string unicode;  // \u0073\u0033
  std::string octal;    // \163\063
  std::string decimal;  // 115, 51; &#115;&#51;
  for (const char character : value) {
    const auto c = static_cast<unsigned char>(character);
    const std::string byte = {lower_digits[c >> 4], lower_digits[c & 15]};
    hex += byte;
    c_hex += '0' + byte;
    unicode += "00" + byte;
    octal += {lower_digits[c >> 6], lower_digits[c >> 3 & 7], lower_digits[c & 7]};
    decimal += std::to_string(c);
  }
  for (std::string* text : {&hex, &c_hex, &unicode, &octal, &decimal})
    add_unless_known(std::move(*text), out);
}

constexpr auto digits = SecretPattern::Kind::digits;

constexpr std::array table = {
    SecretForm{"base64", add_base64},   SecretForm{"percent", add_percent},
    SecretForm{"json", add_json_forms}, SecretForm{"shell", add_shell_forms},
    SecretForm{"c", add_c_forms},       SecretForm{"digits", add_digits, digits},
};

// A numbered or filtered listing inside an event shows single lines, escaped.
constexpr std::array line_table = {SecretForm{"json", add_json_forms}};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

bool is_pem_armour(std::string_view line) {
  return (line.starts_with("-----BEGIN ") || line.starts_with("-----END ")) &&
         line.ends_with("-----") && line.find('\n') == std::string_view::npos;
}

// Nobody prints a file of that size so, and its spellings would fill the memory.
bool is_rare(const SecretForm& family) {
  return family.add == add_shell_forms || family.add == add_c_forms || family.add == add_digits;
}

// The value itself and its spellings in the given families.
void add_forms(std::string_view value, std::span<const SecretForm> families,
               std::vector<SecretPattern>& out) {
  const std::size_t raw_bytes = is_pem_armour(value) ? 0 : value.size();
  out.push_back({.bytes = std::string(value), .raw_bytes = raw_bytes});
  for (const SecretForm& family : families) {
    if (value.size() > max_rare_form_bytes && is_rare(family)) continue;
    const bool as_digits = family.kind == digits;
    const std::size_t least = as_digits ? MaskFold::digits().min_pattern_bytes() : min_form_bytes;
    std::vector<std::string> spellings;
    family.add(value, spellings);
    for (std::string& text : spellings)
      if (text.size() >= least && (as_digits || text != value))
        out.push_back({.bytes = std::move(text), .raw_bytes = raw_bytes, .kind = family.kind});
  }
}

}  // namespace

std::span<const SecretForm> secret_forms() { return table; }

std::vector<SecretPattern> secret_patterns(const MaskedValue& masked) {
  std::vector<SecretPattern> patterns;
  const std::string_view value = masked.value.reveal();
  if (value.empty() || (!masked.marked && value.size() < MaskerPatterns::min_derived_bytes))
    return patterns;
  const std::size_t min_line_bytes =
      masked.marked ? min_marked_line_bytes : MaskerPatterns::min_derived_bytes;

  add_forms(value, table, patterns);
  if (const auto inner = trimmed(value); inner != value && inner.size() >= min_line_bytes)
    add_forms(inner, table, patterns);
  if (value.find('\n') == std::string_view::npos) return patterns;
  for (std::size_t begin = 0; begin < value.size();) {
    const std::size_t end = std::min(value.find('\n', begin), value.size());
    const auto line = trimmed(value.substr(begin, end - begin));
    if (line.size() >= min_line_bytes) add_forms(line, line_table, patterns);
    begin = end + 1;
  }
  return patterns;
}

}  // namespace flow_runner
