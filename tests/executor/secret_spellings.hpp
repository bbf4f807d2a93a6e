// Secret spellings: a value in every covered form, by encoders that owe nothing to the masker's.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/encoding.hpp"

namespace flow_runner::test {

/// `text` stands between `before` and `after`, which tell nothing of the value.
struct Spelling {
  std::string name;
  std::string before;
  std::string text;
  std::string after;
  [[nodiscard]] std::string whole() const { return before + text + after; }
};

inline std::string each_byte(std::string_view value, const char* format,
                             std::string_view between = "") {
  std::string out;
  for (const char c : value) {
    std::array<char, 16> text{};
    const int bytes = std::snprintf(text.data(), text.size(), format,
                                    static_cast<unsigned>(static_cast<unsigned char>(c)));
    if (!out.empty()) out += between;
    out.append(text.data(), static_cast<std::size_t>(bytes));
  }
  return out;
}

inline std::string replace_all(std::string text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

inline std::string wrapped(std::string_view text, std::size_t width, std::string_view newline) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += width) {
    if (at > 0) out += newline;
    out += text.substr(at, width);
  }
  return out;
}

inline std::string url_alphabet(const std::string& base64) {
  return replace_all(replace_all(base64, "+", "-"), "/", "_");
}

inline std::vector<Spelling> base64_spellings(const std::string& value) {
  std::vector<Spelling> all;
  for (std::size_t phase = 0; phase < 3; ++phase) {
    const std::string encoded = base64_encode(std::string(phase, '!') + value + "!!!!");
    // What the neighbours share with the value is left out of the text that must not be seen.
    const std::size_t first = (phase * 8 + 5) / 6;
    const std::size_t last = (phase + value.size()) * 8 / 6;
    const std::string before = encoded.substr(0, first);
    const std::string text = encoded.substr(first, last - first);
    const std::string name = "base64, phase " + std::to_string(phase);
    all.push_back({name, before, text, encoded.substr(last)});
    all.push_back({name + ", URL alphabet", before, url_alphabet(text), "."});
    for (const std::size_t width : {1, 4, 7, 60, 64, 76}) {
      const std::string wide = name + ", lines of " + std::to_string(width);
      all.push_back({wide, "$ ", wrapped(text, width, "\n"), "\n"});
      all.push_back({wide + ", CR LF", "$ ", wrapped(text, width, "\r\n"), "\r\n"});
      all.push_back({wide + ", in JSON", "\"", wrapped(text, width, "\\n"), "\""});
      all.push_back({wide + ", in a diff", "+", wrapped(text, width, "\n+"), "\n"});
      all.push_back({wide + ", in a diff in JSON", "+", wrapped(text, width, "\\n-"), "\\n"});
      all.push_back({wide + ", indented", "  ", wrapped(text, width, "\n  "), "\n"});
      all.push_back({wide + ", in JSON in JSON", "\\\"", wrapped(text, width, "\\\\n"), "\\\""});
    }
  }
  for (const char* user : {"oauth2", "gitlab-ci-token", "x-token-auth", "me", ""}) {
    const std::string login = std::string(user) + ":";
    const std::string encoded = base64_encode(login + value);
    const std::size_t shown = (login.size() - 1) * 8 / 6 + 1;
    all.push_back({"basic authentication of " + login,
                   "Authorization: Basic " + encoded.substr(0, shown), encoded.substr(shown),
                   "\r\n"});
  }
  return all;
}

inline std::vector<Spelling> number_spellings(const std::string& value) {
  const std::string hex = each_byte(value, "%02x");
  const std::string upper = each_byte(value, "%02X");
  std::vector<std::pair<std::string, std::string>> texts = {
      {"hex", hex},
      {"hex, upper case", upper},
      {"hex, lines of 60", wrapped(hex, 60, "\n")},
      {"hex, lines of 5, in JSON", wrapped(hex, 5, "\\n")},
      {"hex, spaced", each_byte(value, "%02x", " ")},
      {"hex, words", wrapped(hex, 4, " ")},
      {"hex, colons", each_byte(value, "%02X", ":")},
      {"hex, hyphens", each_byte(value, "%02x", "-")},
      {"hex, C array", each_byte(value, "0x%02x", ", ")},
      {"hex, indented C array", each_byte(value, "0x%02X", ",\n        ")},
      {"hex, string escapes", each_byte(value, "\\x%02x")},
      {"hex, string escapes in JSON", each_byte(value, "\\\\x%02X")},
      {"percent, every byte", each_byte(value, "%%%02x")},
      {"percent, every byte, upper case", each_byte(value, "%%%02X")},
      {"Unicode escapes, every byte", each_byte(value, "\\u%04x")},
      {"Unicode escapes, upper case", each_byte(value, "\\u%04X")},
      {"HTML, hex", each_byte(value, "&#x%02x;")},
      {"HTML, decimal", each_byte(value, "&#%u;")},
      {"octal escapes", each_byte(value, "\\%03o")},
      {"octal, spaced", each_byte(value, "%03o", " ")},
      {"decimal, as an array", each_byte(value, "%u", ",")},
      {"decimal, spaced", each_byte(value, "%u", ", ")},
  };
  std::vector<Spelling> all;
  for (auto& [name, text] : texts) all.push_back({name, "<", std::move(text), ">"});
  return all;
}

/// Of a value that may hold any ASCII character.
inline std::vector<Spelling> quoted_spellings(const std::string& value) {
  const auto each = [&value](auto spell) {
    std::string out;
    for (const char c : value) out += spell(c);
    return out;
  };
  const auto one = [](char c) { return std::string(1, c); };
  const auto is_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto percent = [&](char c) { return is_word(c) ? one(c) : each_byte(one(c), "%%%02X"); };
  const auto lower_percent = [&](char c) {
    return is_word(c) ? one(c) : each_byte(one(c), "%%%02x");
  };
  const auto letter = [](char c) -> std::string {
    return c == '\n' ? "\\n" : c == '\t' ? "\\t" : "";
  };
  const auto json = [&](char c) {
    return !letter(c).empty() ? letter(c) : c == '"' || c == '\\' ? "\\" + one(c) : one(c);
  };
  const auto php = [&](char c) { return c == '/' ? "\\/" : json(c); };
  const auto dotnet = [&](char c) {
    return std::string_view("<>&'\"+`").find(c) != std::string_view::npos
               ? each_byte(one(c), "\\u%04X")
               : json(c);
  };
  const auto with = [&](std::string_view special) {
    return each([&](char c) { return special.find(c) != special.npos ? "\\" + one(c) : one(c); });
  };
  const auto c_string = [&](std::string_view quotes) {
    return each([&](char c) {
      return !letter(c).empty()                           ? letter(c)
             : c == '\\' || quotes.find(c) != quotes.npos ? "\\" + one(c)
                                                          : one(c);
    });
  };
  const std::string single = replace_all(value, "'", "'\\''");
  std::string in_json;
  for (const char c : single) in_json += json(c);
  std::vector<std::pair<std::string, std::string>> texts = {
      {"plain", value},
      {"percent", each(percent)},
      {"percent, lower case", each(lower_percent)},
      {"JSON", each(json)},
      {"JSON as PHP writes it", each(php)},
      {"JSON as .NET writes it", each(dotnet)},
      {"shell, single quotes", single},
      {"shell, single quotes, in JSON", in_json},
      {"shell, quotes in quotes", replace_all(value, "'", "'\"'\"'")},
      {"shell, double quotes", with("\"$\\`")},
      {"shell, ANSI-C quotes", c_string("'")},
      {"C", c_string("\"")},
      {"Python, both quotes", c_string("")},
  };
  if (value.find('\n') == std::string::npos)
    texts.emplace_back("shell, backslashes", with(" \t!\"$&'()*,;<>?[\\]^`{|}"));
  std::vector<Spelling> all;
  for (auto& [name, text] : texts) all.push_back({name, "(", std::move(text), ")"});
  return all;
}

inline std::vector<Spelling> all_spellings(const std::string& value) {
  std::vector<Spelling> all = quoted_spellings(value);
  for (Spelling& spelling : base64_spellings(value)) all.push_back(std::move(spelling));
  for (Spelling& spelling : number_spellings(value)) all.push_back(std::move(spelling));
  return all;
}

/// The first piece of `spelling` that is long enough to tell something and still in `output`.
inline std::string leaked_piece(const Spelling& spelling, std::string_view output) {
  constexpr std::size_t telling_bytes = 7;
  for (std::size_t at = 0; at + telling_bytes <= spelling.text.size(); ++at) {
    const std::string piece = spelling.text.substr(at, telling_bytes);
    if (output.find(piece) != output.npos) return piece;
  }
  return {};
}

/// Values that every encoder spells in its own way, in parts; the last of two lines.
inline std::vector<std::string> telling_values() {
  return {std::string("tok") + "-Alnum0123456789xyz",
          std::string("p'q\"r/s t+") + "=%u\\v&w<x>y$z`~!",
          std::string("first'line \"one\"\n") + "second/line\t$two\\"};
}

}  // namespace flow_runner::test
