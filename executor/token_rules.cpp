#include "executor/token_rules.hpp"

#include <algorithm>
#include <array>

namespace flow_runner {
namespace {

using enum TokenAlphabet;
constexpr auto dotted = TokenRule::Parts::dotted;
constexpr auto one = TokenRule::Parts::one;

// docs.gitlab.com/security/tokens: token prefixes. A "routable" token has parts with full stops.
constexpr std::array rules = {
    TokenRule{"glpat-", word, 20, dotted},    // personal, project and group access
    TokenRule{"gloas-", word, 20, dotted},    // OAuth application secret
    TokenRule{"gldt-", word, 20, dotted},     // deploy
    TokenRule{"glrt-", word, 20, dotted},     // runner authentication
    TokenRule{"glrtr-", word, 20, dotted},    // runner authentication, by registration
    TokenRule{"glcbt-", word, 20, dotted},    // job
    TokenRule{"glptt-", word, 20, dotted},    // pipeline trigger
    TokenRule{"glft-", word, 20, dotted},     // feed
    TokenRule{"glimt-", word, 20, dotted},    // incoming mail
    TokenRule{"glagent-", word, 20, dotted},  // Kubernetes agent
    TokenRule{"glwt-", word, 20, dotted},     // workspace
    TokenRule{"glsoat-", word, 20, dotted},   // SCIM
    TokenRule{"glffct-", word, 20, dotted},   // feature flags client
    TokenRule{"GR1348941", word, 20, one},    // runner registration
    TokenRule{"sk-ant-", word, 20, one},      // Anthropic
    TokenRule{"sk-proj-", word, 20, one},     // OpenAI, this and the next two
    TokenRule{"sk-svcacct-", word, 20, one},
    TokenRule{"sk-admin-", word, 20, one},
    TokenRule{"sk-or-v1-", letters_and_digits, 32, one},  // OpenRouter
    TokenRule{"sk-", letters_and_digits, 32, one},        // OpenAI and many that follow it
    TokenRule{"AKIA", upper_and_digits, 16, one},         // AWS access key, this and the next
    TokenRule{"ASIA", upper_and_digits, 16, one},
    TokenRule{"AIza", word, 35, one},                // Google
    TokenRule{"ghp_", letters_and_digits, 36, one},  // GitHub, this and the next five
    TokenRule{"gho_", letters_and_digits, 36, one},
    TokenRule{"ghu_", letters_and_digits, 36, one},
    TokenRule{"ghs_", letters_and_digits, 36, one},
    TokenRule{"ghr_", letters_and_digits, 36, one},
    TokenRule{"github_pat_", word, 40, one},
    TokenRule{"npm_", letters_and_digits, 36, one},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alphanumeric(char c) { return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool ends_in_hex(std::string_view text, std::string_view before, std::size_t digits) {
  if (text.size() < before.size() + digits) return false;
  const std::string_view number = text.substr(text.size() - digits);
  return text.substr(0, text.size() - digits).ends_with(before) &&
         std::all_of(number.begin(), number.end(), is_hex);
}

// "\x1b[1;31m", and the same with ESC escaped.
bool ends_in_colour(std::string_view text) {
  if (!text.ends_with('m')) return false;
  text.remove_suffix(1);
  while (!text.empty() && (is_digit(text.back()) || text.back() == ';')) text.remove_suffix(1);
  return text.ends_with('[');
}

}  // namespace

std::span<const TokenRule> token_rules() { return rules; }

bool is_in(TokenAlphabet alphabet, char c) noexcept {
  switch (alphabet) {
    case word:
      return is_alphanumeric(c) || c == '-' || c == '_';
    case letters_and_digits:
      return is_alphanumeric(c);
    case upper_and_digits:
      return is_upper(c) || is_digit(c);
  }
  return false;
}

bool is_left_boundary(std::string_view text, std::size_t at) noexcept {
  if (at == 0 || !is_alphanumeric(text[at - 1])) return true;
  const std::size_t begin = at - std::min(at, boundary_bytes);
  const std::string_view before = text.substr(begin, at - begin);
  return before.ends_with("\\n") || before.ends_with("\\r") || before.ends_with("\\t") ||
         ends_in_hex(before, "%", 2) || ends_in_hex(before, "\\u", 4) ||
         ends_in_hex(before, "\\x", 2) || ends_in_colour(before);
}

}  // namespace flow_runner
