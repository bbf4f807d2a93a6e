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

inline std::vector<std::string> all_patterns(const std::vector<MaskedValue>& values) {
  std::vector<std::string> patterns;
  for (const MaskedValue& value : values)
    for (SecretPattern& pattern : secret_patterns(value))
      patterns.push_back(std::move(pattern.bytes));
  return patterns;
}

/// The mask of `text`, as far as it comes of its first `until` bytes.
inline std::string mask_reference(const std::vector<std::string>& patterns, std::string_view text,
                                  std::size_t until = std::string_view::npos) {
  std::vector<bool> covered(text.size(), false);
  for (const std::string& pattern : patterns) {
    for (auto at = text.find(pattern); at != std::string_view::npos;
         at = text.find(pattern, at + 1)) {
      for (std::size_t i = 0; i < pattern.size(); ++i) covered[at + i] = true;
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

/// How many bytes at the end of `text` can still become part of a pattern.
inline std::size_t open_reference(const std::vector<std::string>& patterns, std::string_view text) {
  std::size_t open = 0;
  for (const std::string& pattern : patterns) {
    for (std::size_t bytes = std::min(pattern.size() - 1, text.size()); bytes > open; --bytes)
      if (text.ends_with(std::string_view(pattern).substr(0, bytes))) open = bytes;
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
