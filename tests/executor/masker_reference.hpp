// The masker as one would write it for a whole text and without a thought of speed: what tests
// compare to.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "executor/masker.hpp"
#include "executor/secret_forms.hpp"

namespace flow_runner::test {

inline std::vector<SecretPattern> all_patterns(const std::vector<MaskedValue>& values) {
  std::vector<SecretPattern> patterns;
  for (const MaskedValue& value : values)
    for (SecretPattern& pattern : secret_patterns(value)) patterns.push_back(std::move(pattern));
  return patterns;
}

inline std::vector<std::string> texts_of(const std::vector<SecretPattern>& patterns) {
  std::vector<std::string> texts;
  for (const SecretPattern& pattern : patterns) texts.push_back(pattern.bytes);
  return texts;
}

/// A piece of a text without what may stand within an encoded value.
struct ReferenceFold {
  std::string bytes;
  std::vector<std::size_t> places;  ///< of each byte, in the text
};

/// The text broken into lines (base64), or numbers with separators (digits).
enum class ReferenceKind { lines, indented, digits };
inline std::vector<ReferenceFold> fold_reference(std::string_view text, ReferenceKind kind) {
  const bool digits = kind == ReferenceKind::digits;
  const bool indented = kind == ReferenceKind::indented;
  const std::string_view kept = digits ? "0123456789abcdefABCDEF"
                                       : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789+/-_=";
  const std::string_view dropped = digits ? " \t\r\n:,-;%&#xX\\" : "\n\r\\";
  const std::string_view dropped_after_backslash = digits ? "nrtu" : "nr";
  const std::size_t most_dropped = digits ? 14 : 24;
  std::vector<ReferenceFold> folds(1);
  std::size_t dropped_on_end = 0;
  bool margin = false;  // the line so far is a mark and blanks
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = i > 0 && text[i - 1] == '\\';
    const bool mark = text[i] == '+' || text[i] == '-';
    const bool blank = text[i] == ' ' || text[i] == '\t';
    const bool begins = i > 0 && (text[i - 1] == '\n' || text.substr(0, i).ends_with("\\n"));
    margin = (begins && (mark || blank)) || (margin && blank);
    const bool is_margin = indented && margin;
    if (is_margin || dropped.find(text[i]) != dropped.npos ||
        (escaped && dropped_after_backslash.find(text[i]) != dropped.npos)) {
      if (++dropped_on_end > most_dropped) folds.emplace_back();
    } else if (kept.find(text[i]) != kept.npos) {
      dropped_on_end = 0;
      const char c = text[i];
      folds.back().bytes.push_back(digits && c >= 'A' && c <= 'F' ? char(c - 'A' + 'a') : c);
      folds.back().places.push_back(i);
    } else {
      dropped_on_end = 0;
      folds.emplace_back();
    }
  }
  return folds;
}

inline bool is_folded(const SecretPattern& pattern) {
  return pattern.kind == SecretPattern::Kind::digits || pattern.bytes.size() >= 8;
}

/// The mask of `text`, as far as it comes of its first `until` bytes. Knows no tokens.
inline std::string mask_reference(const std::vector<SecretPattern>& patterns, std::string_view text,
                                  std::size_t until = std::string_view::npos) {
  std::vector<bool> covered(text.size(), false);
  const auto cover = [&](std::size_t begin, std::size_t end) {
    std::fill(covered.begin() + static_cast<std::ptrdiff_t>(begin),
              covered.begin() + static_cast<std::ptrdiff_t>(end), true);
  };
  const auto lines = fold_reference(text, ReferenceKind::lines);
  const auto indented = fold_reference(text, ReferenceKind::indented);
  const auto digits = fold_reference(text, ReferenceKind::digits);
  for (const SecretPattern& pattern : patterns) {
    const std::string& bytes = pattern.bytes;
    if (pattern.kind == SecretPattern::Kind::plain)
      for (auto at = text.find(bytes); at != text.npos; at = text.find(bytes, at + 1))
        cover(at, at + bytes.size());
    if (!is_folded(pattern)) continue;
    const auto cover_folded = [&](const std::vector<ReferenceFold>& folds) {
      for (const auto& fold : folds)
        for (auto at = fold.bytes.find(bytes); at != text.npos; at = fold.bytes.find(bytes, at + 1))
          cover(fold.places[at], fold.places[at + bytes.size() - 1] + 1);
    };
    if (pattern.kind == SecretPattern::Kind::digits) {
      cover_folded(digits);
    } else {
      cover_folded(lines);
      cover_folded(indented);
    }
  }
  std::string out;
  for (std::size_t i = 0; i < std::min(text.size(), until); ++i) {
    if (!covered[i])
      out.push_back(text[i]);
    else if (i == 0 || !covered[i - 1])
      out += "[MASKED]";
  }
  return out;
}

/// The longest end of `text` that begins a pattern and is none.
inline std::size_t open_end(std::string_view pattern, std::string_view text) {
  for (std::size_t bytes = std::min(pattern.size() - 1, text.size()); bytes > 0; --bytes)
    if (text.ends_with(pattern.substr(0, bytes))) return bytes;
  return 0;
}

/// How many bytes at the end of `text` can still become part of a pattern.
inline std::size_t open_reference(const std::vector<SecretPattern>& patterns,
                                  std::string_view text) {
  const auto lines = fold_reference(text, ReferenceKind::lines).back();
  const auto indented = fold_reference(text, ReferenceKind::indented).back();
  const auto digits = fold_reference(text, ReferenceKind::digits).back();
  std::size_t open = 0;
  const auto add = [&](const SecretPattern& pattern, const ReferenceFold& fold) {
    if (const std::size_t bytes = open_end(pattern.bytes, fold.bytes); bytes > 0)
      open = std::max(open, text.size() - fold.places[fold.bytes.size() - bytes]);
  };
  for (const SecretPattern& pattern : patterns) {
    const bool plain = pattern.kind == SecretPattern::Kind::plain;
    if (plain) open = std::max(open, open_end(pattern.bytes, text));
    if (!is_folded(pattern)) continue;
    if (plain) {
      add(pattern, lines);
      add(pattern, indented);
    } else {
      add(pattern, digits);
    }
  }
  return open;
}

inline MaskedValue marked(std::string value, std::string name = "NAME") {
  return {.name = std::move(name), .value = Secret(std::move(value)), .marked = true};
}

inline MaskedValue derived(std::string value, std::string name = "NAME") {
  return {.name = std::move(name), .value = Secret(std::move(value)), .marked = false};
}

/// A small generator whose numbers are the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  std::size_t below(std::size_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::size_t>((state_ >> 11) % limit);
  }
  std::string text(std::size_t bytes, std::string_view alphabet) {
    std::string out;
    for (std::size_t i = 0; i < bytes; ++i) out.push_back(alphabet[below(alphabet.size())]);
    return out;
  }

 private:
  std::uint64_t state_;
};

}  // namespace flow_runner::test
