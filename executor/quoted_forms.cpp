#include "executor/quoted_forms.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace flow_runner {
namespace {

constexpr std::string_view lower_digits = "0123456789abcdef";
constexpr std::string_view upper_digits = "0123456789ABCDEF";
constexpr std::array hex_digits = {lower_digits, upper_digits};

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// What writers escape beyond what the grammar (RFC 8259) demands: nobody, Go and Rails, PHP twice,
// Gson, .NET.
constexpr std::array<std::string_view, 6> json_also_escaped = {"",       "<>&",   "<>&'",
                                                               "<>&'\"", "<>&'=", "<>&'\"+`"};
constexpr std::string_view json_perhaps_escaped = "<>&'\"=+`";

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
           json_perhaps_escaped.find(character) == std::string_view::npos;
  });
}

// Each byte of `special` as `escape` says.
template <class Escape>
std::string replaced(std::string_view value, Escape escape) {
  std::string out;
  for (const char c : value) {
    const std::string_view text = escape(c);
    if (text.empty())
      out.push_back(c);
    else
      out += text;
  }
  return out;
}

template <class Special>
std::string with_backslashes(std::string_view value, Special special) {
  std::string out;
  for (const char c : value) {
    if (special(c)) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

// dash and busybox put the quotes of one place together: 'it'"''"'s'.
std::string in_single_quotes_grouped(std::string_view value) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const bool quote = value[i] == '\'';
    if (quote && (i == 0 || value[i - 1] != '\'')) out += "'\"";
    out.push_back(value[i]);
    if (quote && (i + 1 == value.size() || value[i + 1] != '\'')) out += "\"'";
  }
  return out;
}

// Of what some writers put a backslash before: within double quotes, the same with history, bash's
// printf %q now and before it minded commas, zsh's (q).
constexpr std::array<std::string_view, 5> shell_escaped = {
    "\"$\\`", "\"$\\`!", " \t!\"$&'()*,;<>?[\\]^`{|}", " \t!\"$&'()*;<>?[\\]^`{|}",
    " \t!\"#$&'()*;<=>?[\\]^`{|}~"};
// And what others leave without one, besides letters and digits: Ruby's shellescape, quotemeta.
constexpr std::array<std::string_view, 3> shell_kept = {"_-.,:+/@", "_-.,:+/=@", "_"};

std::vector<std::string> shell_spellings(std::string_view value) {
  std::vector<std::string> out;
  const auto quoted = [&](std::string_view quote) {
    return replaced(value, [&](char c) { return c == '\'' ? quote : std::string_view(); });
  };
  add_unless_known(quoted("'\\''"), out);
  add_unless_known(quoted("'\"'\"'"), out);
  add_unless_known(in_single_quotes_grouped(value), out);
  for (std::string_view special : shell_escaped) {
    add_unless_known(
        with_backslashes(value, [&](char c) { return special.find(c) != special.npos; }), out);
  }
  for (std::string_view kept : shell_kept) {
    const auto special = [&](char c) {
      return static_cast<unsigned char>(c) < 0x80 && !is_alphanumeric(c) &&
             kept.find(c) == kept.npos;
    };
    add_unless_known(with_backslashes(value, special), out);
  }
  return out;
}

struct CStyle {
  std::string_view quotes;     // that get a backslash
  std::string_view shortened;  // control characters that have a letter
  enum class Number { octal, lower_hex, upper_hex } number = Number::octal;
  enum class High { raw, escaped } high = High::raw;
};

constexpr std::array<std::string_view, 4> c_quotes = {"", "'", "\"", "'\""};
// C and shells, Python, JavaScript, and `$'…'` with its letter for ESC.
constexpr std::array<std::string_view, 4> c_shortened = {"\a\b\t\n\v\f\r", "\t\n\r", "\b\t\n\f\r",
                                                         "\a\b\t\n\v\f\r\x1b"};

char c_letter(char c) {
  constexpr std::string_view controls = "\a\b\t\n\v\f\r\x1b";
  constexpr std::string_view letters = "abtnvfrE";
  return letters[controls.find(c)];
}

void append_c_number(unsigned char c, CStyle::Number number, std::string& out) {
  out.push_back('\\');
  if (number == CStyle::Number::octal) {
    for (int shift = 6; shift >= 0; shift -= 3) out.push_back(lower_digits[c >> shift & 7U]);
    return;
  }
  const auto digits = number == CStyle::Number::lower_hex ? lower_digits : upper_digits;
  out.push_back('x');
  out.push_back(digits[c >> 4U]);
  out.push_back(digits[c & 15U]);
}

std::string c_escaped(std::string_view value, const CStyle& style) {
  std::string out;
  for (const char character : value) {
    const auto c = static_cast<unsigned char>(character);
    if (character == '\\' || style.quotes.find(character) != style.quotes.npos) {
      out.push_back('\\');
      out.push_back(character);
    } else if (style.shortened.find(character) != style.shortened.npos) {
      out.push_back('\\');
      out.push_back(c_letter(character));
    } else if (c < 0x20 || c == 0x7F || (c >= 0x80 && style.high == CStyle::High::escaped)) {
      append_c_number(c, style.number, out);
    } else {
      out.push_back(character);
    }
  }
  return out;
}

}  // namespace

void add_unless_known(std::string text, std::vector<std::string>& out) {
  if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
}

void add_json_forms(std::string_view value, std::vector<std::string>& out) {
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

void add_shell_forms(std::string_view value, std::vector<std::string>& out) {
  for (std::string& text : shell_spellings(value)) {
    if (text == value) continue;
    add_unless_known(json_escaped(text, {}), out);
    add_unless_known(std::move(text), out);
  }
}

void add_c_forms(std::string_view value, std::vector<std::string>& out) {
  const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '\\' && c != '\'' && c != '"';
  });
  if (plain) return;
  using enum CStyle::Number;
  for (std::string_view quotes : c_quotes)
    for (std::string_view shortened : c_shortened)
      for (CStyle::Number number : {octal, lower_hex, upper_hex})
        for (CStyle::High high : {CStyle::High::raw, CStyle::High::escaped})
          add_unless_known(
              c_escaped(value,
                        {.quotes = quotes, .shortened = shortened, .number = number, .high = high}),
              out);
}

}  // namespace flow_runner
