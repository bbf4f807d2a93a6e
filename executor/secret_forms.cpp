#include "executor/secret_forms.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace flow_runner {
namespace {

constexpr std::string_view white_space = " \t\r\n\v\f";
constexpr std::string_view lower_digits = "0123456789abcdef";
constexpr std::string_view upper_digits = "0123456789ABCDEF";
constexpr std::array hex_digits = {lower_digits, upper_digits};

bool is_alphanumeric(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Most encoders agree about most values: a long one is not to be kept dozens of times.
void add_unless_known(std::string text, std::vector<std::string>& out) {
  if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
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
void add_base64(std::string_view value, std::vector<std::string>& out) {
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

// Which printable characters an encoder leaves alone, besides letters and digits.
constexpr std::array<std::string_view, 8> percent_kept = {
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

// What writers escape beyond what the grammar (RFC 8259) demands: nobody, Go and Rails, PHP, .NET.
constexpr std::array<std::string_view, 4> json_also_escaped = {"", "<>&", "<>&'", "<>&'\"+`"};

struct JsonStyle {
  std::string_view also_escaped = json_also_escaped[0];
  bool escapes_slash = false;  // PHP
  bool ascii_only = false;     // Python
  std::string_view digits = lower_digits;
};

void append_unicode_escape(unsigned unit, std::string_view digits, std::string& out) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back(digits[unit >> shift & 15U]);
}

// The code point at the front of `text` and its length; an ill-formed byte is U+FFFD of length 1.
std::pair<std::uint32_t, std::size_t> decode_utf8(std::string_view text) {
  constexpr std::pair<std::uint32_t, std::size_t> ill_formed{0xFFFD, 1};
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return ill_formed;
  std::uint32_t point = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return ill_formed;
    point = point << 6 | (next & 0x3FU);
  }
  constexpr std::array<std::uint32_t, 5> least = {0, 0, 0x80, 0x800, 0x10000};
  if (point < least[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
    return ill_formed;
  return {point, length};
}

// What every serializer writes for it, or nothing.
std::string_view short_escape(char c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return {};
  }
}

std::string json_escaped(std::string_view value, const JsonStyle& style) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char character = value[i];
    const auto c = static_cast<unsigned char>(character);
    if (c < 0x80 && style.also_escaped.find(character) != std::string_view::npos) {
      append_unicode_escape(c, style.digits, out);
    } else if (const auto escape = short_escape(character); !escape.empty()) {
      out += escape;
    } else if (character == '/' && style.escapes_slash) {
      out += "\\/";
    } else if (c < 0x20 || (c == 0x7F && style.ascii_only)) {
      append_unicode_escape(c, style.digits, out);
    } else if (c >= 0x80 && style.ascii_only) {
      const auto [point, length] = decode_utf8(value.substr(i));
      if (point >= 0x10000) {
        append_unicode_escape(0xD800 + ((point - 0x10000) >> 10), style.digits, out);
        append_unicode_escape(0xDC00 + ((point - 0x10000) & 0x3FFU), style.digits, out);
      } else {
        append_unicode_escape(point, style.digits, out);
      }
      i += length - 1;
    } else {
      out.push_back(character);
    }
  }
  return out;
}

// True when no style changes a byte of it: most lines of most secrets.
bool is_plain_in_json(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char character) {
    const auto c = static_cast<unsigned char>(character);
    return c >= 0x20 && c < 0x7F && character != '\\' && character != '/' &&
           json_also_escaped.back().find(character) == std::string_view::npos;
  });
}

void add_json(std::string_view value, std::vector<std::string>& out) {
  if (is_plain_in_json(value)) return;
  for (std::string_view digits : hex_digits) {
    for (std::string_view also_escaped : json_also_escaped) {
      for (bool slash : {false, true}) {
        for (bool ascii : {false, true}) {
          std::string text = json_escaped(value, {.also_escaped = also_escaped,
                                                  .escapes_slash = slash,
                                                  .ascii_only = ascii,
                                                  .digits = digits});
          // Agents print events whose strings hold JSON again.
          if (also_escaped.empty()) add_unless_known(json_escaped(text, {}), out);
          add_unless_known(std::move(text), out);
        }
      }
    }
  }
}

constexpr std::array table = {
    SecretForm{"base64", add_base64},
    SecretForm{"percent", add_percent},
    SecretForm{"json", add_json},
};

// A numbered or filtered listing inside an event shows single lines, escaped.
constexpr std::array line_table = {SecretForm{"json", add_json}};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

bool is_pem_armour(std::string_view line) {
  return (line.starts_with("-----BEGIN ") || line.starts_with("-----END ")) &&
         line.ends_with("-----") && line.find('\n') == std::string_view::npos;
}

// The value itself and its spellings in the given families.
void add_forms(std::string_view value, std::span<const SecretForm> families,
               std::vector<SecretPattern>& out) {
  const std::size_t raw_bytes = is_pem_armour(value) ? 0 : value.size();
  out.push_back({std::string(value), raw_bytes});
  for (const SecretForm& family : families) {
    std::vector<std::string> spellings;
    family.add(value, spellings);
    for (std::string& text : spellings)
      if (text.size() >= min_form_bytes && text != value)
        out.push_back({std::move(text), raw_bytes});
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
