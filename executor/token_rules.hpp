// Token rules: what a key looks like that nobody told the job's runner, by its issuer's prefix.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace flow_runner {

enum class TokenAlphabet { word, letters_and_digits, upper_and_digits };

/// A token is the prefix, at a left boundary, and a tail of at least min_bytes of the alphabet. The
/// prefix is public, only the tail is masked. One of the tail's first min_bytes is an upper-case
/// letter or a digit: `glpat-your-personal-access-token` is no token.
struct TokenRule {
  std::string_view prefix;
  TokenAlphabet alphabet = TokenAlphabet::word;
  std::size_t min_bytes = 0;
  /// Full stops may stand within the tail.
  enum class Parts { one, dotted } parts = Parts::one;
};

std::span<const TokenRule> token_rules();

inline constexpr std::size_t max_token_min_bytes = 40;
inline constexpr std::size_t max_token_prefix_bytes = 16;

[[nodiscard]] bool is_in(TokenAlphabet alphabet, char c) noexcept;

/// A token may begin at `at`: no letter or digit stands before it, but as the end of an escape
/// (`\n`, `\u0022`, `%3D`, a terminal's colour). Looks back at no more than boundary_bytes.
[[nodiscard]] bool is_left_boundary(std::string_view text, std::size_t at) noexcept;
inline constexpr std::size_t boundary_bytes = 16;

}  // namespace flow_runner
