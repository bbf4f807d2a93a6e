// Fuzzes the masker: whatever the secrets and however the text is split, the output is the
// reference's; and that of a text which may hold tokens, whom the reference does not know, is that
// of the text in one piece, with nothing that was told held back or taken back.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "executor/masker.hpp"
#include "executor/token_rules.hpp"
#include "tests/executor/masker_reference.hpp"

using namespace flow_runner;

namespace {

constexpr std::size_t max_text_bytes = 512;  // the reference is quadratic
constexpr std::size_t max_secret_bytes = 64;

void require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  explicit Input(std::string_view data) : data_(data) {}
  std::size_t number() {
    if (data_.empty()) return 0;
    const auto value = static_cast<unsigned char>(data_[0]);
    data_.remove_prefix(1);
    return value;
  }
  std::string_view bytes(std::size_t count) {
    const std::string_view taken = data_.substr(0, count);
    data_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view data_;
};

// Pieces of what TokenSearch looks for: at random they come about too seldom.
constexpr std::array<std::string_view, 16> token_pieces = {"glpat-",
                                                           "sk-ant-",
                                                           "sk-",
                                                           "AKIA",
                                                           "://",
                                                           ":",
                                                           "@",
                                                           "gitlab-ci-token:",
                                                           "-----BEGIN ",
                                                           "RSA PRIVATE KEY-----",
                                                           "\n",
                                                           "\\n",
                                                           ".",
                                                           "/",
                                                           "Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3",
                                                           "A1b2"};

// Each byte that is below 32 stands for a piece or a secret.
std::string with_tokens(std::string_view text, const std::vector<MaskedValue>& values) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < token_pieces.size())
      out += token_pieces[byte];
    else if (byte < 32 && byte - token_pieces.size() < values.size())
      out += values[byte - token_pieces.size()].value.reveal();
    else
      out.push_back(c);
  }
  return out;
}

void check_tokens(const std::shared_ptr<const MaskerPatterns>& compiled, const std::string& text,
                  test::Random& random) {
  const std::string expected = mask_text(*compiled, text);
  Masker masker(compiled);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = std::min(text.size() - at, random.below(40));
    masker.write(std::string_view(text).substr(at, bytes), out);
    at += bytes;
    require(expected.starts_with(out));
  }
  masker.flush(out);
  require(out == expected);
}

/// The reference knows no credentials by their form.
bool may_hold_token(std::string_view text) {
  const auto holds = [&](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  };
  for (const auto& rule : token_rules())
    if (holds(rule.prefix)) return true;
  return holds("://") || holds("-----BEGIN") || holds("gitlab-ci-token:");
}

}  // namespace

// The input: number of secrets, for each its length and bytes (an even length marks it), a seed for
// the splits, the text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({reinterpret_cast<const char*>(data), size});
  std::vector<MaskedValue> values;
  for (std::size_t i = input.number() % 5; i > 0; --i) {
    const std::size_t bytes = input.number() % max_secret_bytes;
    std::string value(input.bytes(bytes));
    values.push_back(bytes % 2 == 0 ? test::marked(value, "M") : test::derived(value, "D"));
  }
  test::Random random(input.number() + 1);
  const std::string_view text = input.bytes(max_text_bytes);

  const auto patterns = test::all_patterns(values);
  const auto compiled = MaskerPatterns::compile(values);
  check_tokens(compiled, with_tokens(text, values), random);
  if (may_hold_token(text)) return 0;
  const std::string expected = test::mask_reference(patterns, text);
  require(mask_text(*compiled, text) == expected);

  Masker masker(compiled);
  SecretScanner scanner(compiled, 1);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = std::min(text.size() - at, random.below(24));
    masker.write(text.substr(at, bytes), out);
    scanner.write(text.substr(at, bytes));
    at += bytes;
    const auto seen = text.substr(0, at);
    require(out == test::mask_reference(patterns, seen, at - test::open_reference(patterns, seen)));
  }
  masker.flush(out);
  require(out == expected);
  require(scanner.finish().empty() == compiled->find(text, 1).empty());
  return 0;
}
