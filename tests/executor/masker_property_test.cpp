#include <algorithm>
#include <doctest/doctest.h>
#include <string>
#include <vector>

#include "executor/masker.hpp"
#include "tests/executor/masker_reference.hpp"

using namespace flow_runner;
using namespace flow_runner::test;

namespace {

std::string mask_pieces(Masker& masker, const std::vector<std::string_view>& pieces) {
  std::string out;
  for (std::string_view piece : pieces) masker.write(piece, out);
  masker.flush(out);
  return out;
}

// Every two-way split, byte by byte, and some random splits. One Masker throughout: flush() starts
// afresh.
void check_all_splits(const std::vector<MaskedValue>& values, std::string_view text,
                      Random& random) {
  const auto patterns = all_patterns(values);
  const auto compiled = MaskerPatterns::compile(values);
  const std::string expected = mask_reference(patterns, text);
  CAPTURE(text);
  REQUIRE(mask_text(*compiled, text) == expected);
  Masker masker(compiled);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    REQUIRE(mask_pieces(masker, {text.substr(0, cut), text.substr(cut)}) == expected);
  }
  for (int round = 0; round < 8; ++round) {
    std::vector<std::string_view> pieces;
    const std::size_t most = round == 0 ? 1 : 1 + random.below(9);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = std::min(text.size() - at, round == 0 ? 1 : random.below(most + 1));
      pieces.push_back(text.substr(at, bytes));
      at += bytes;
    }
    REQUIRE(mask_pieces(masker, pieces) == expected);
  }
}

std::vector<MaskedValue> marked_values(const std::vector<std::string>& texts) {
  std::vector<MaskedValue> values;
  for (const std::string& text : texts) values.push_back(marked(text));
  return values;
}

// A text made of the secrets, pieces of them, and other bytes: much denser than a log.
std::string mixed_text(const std::vector<std::string>& patterns, std::size_t bytes,
                       std::string_view alphabet, Random& random) {
  std::string text;
  while (text.size() < bytes) {
    const std::string& pattern = patterns[random.below(patterns.size())];
    switch (random.below(4)) {
      case 0:
        text += pattern;
        break;
      case 1:
        text += pattern.substr(0, random.below(pattern.size() + 1));
        break;
      case 2:
        text += pattern.substr(random.below(pattern.size()));
        break;
      default:
        text += random.text(random.below(6), alphabet);
        break;
    }
  }
  return text;
}

// A short word over and over, at most one letter of it changed.
std::string periodic(std::size_t bytes, Random& random) {
  const std::string word = random.text(1 + random.below(4), "ab");
  std::string text;
  while (text.size() < bytes) text += word;
  text.resize(bytes);
  if (random.below(2) == 0) text[random.below(bytes)] = 'c';
  return text;
}

// Byte by byte: the output is the mask of all that was read but the bytes that are open, no more,
// no less.
void check_held(const std::vector<std::string>& secrets, std::string_view text) {
  const auto values = marked_values(secrets);
  const auto patterns = all_patterns(values);
  const auto compiled = MaskerPatterns::compile(values);
  Masker masker(compiled);
  std::string out;
  CAPTURE(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    masker.write(text.substr(i, 1), out);
    const auto seen = text.substr(0, i + 1);
    const std::size_t open = open_reference(patterns, seen);
    REQUIRE(open <= compiled->max_held_bytes());
    REQUIRE(out == mask_reference(patterns, seen, seen.size() - open));
  }
}

}  // namespace

TEST_CASE("masker: hand-made overlaps are masked however the text is split") {
  struct Case {
    std::vector<std::string> secrets;
    std::vector<std::string> texts;
  };
  const std::vector<Case> cases = {
      {{"aab"}, {"aab", "aaab", "aaaab", "aa", "aabaab", "xaabaaby", "aaxaab"}},
      {{"aa"}, {"a", "aa", "aaa", "aaaaaaaaaaaa", "baab", "abaaba"}},
      {{"a"}, {"a", "bab", "aaa", "bbb", ""}},
      {{"abcd", "bc"}, {"abcd", "abc", "abcx", "bcd", "abcbcd"}},
      {{"abcdef", "cd", "efgh"}, {"abcdefgh", "abcdexefgh", "abcdeefgh"}},
      {{"abc", "cde", "efg"}, {"abcdefg", "abcabc", "abccde"}},
      {{"abababac"}, {"ababababac", "abababababababac", "abababab"}},
      {{"aaaaaaaaaaaaaaaaaaab"}, {std::string(60, 'a') + "b" + std::string(19, 'a')}},
      {{"0123456789abcdef0123456789abcdeX", "9abcdef0123456789abcdef0"},
       {"0123456789abcdef0123456789abcdef0123456789abcdeX", "0123456789abcdef0123456789abcdef01"}},
      {{"abcdefghijklmnopqrstuvwxyz", "qrstuvwxyzabcdefghi", "ijkl", "z"},
       {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop", "abcdefghijklmnopqrstuvwxy"}},
      {{"[MASKED]", "MASKED"}, {"[MASKED]", "[[MASKED]]", "MASKED"}},
      {{std::string("\0\0\1", 3)}, {std::string("\0\0\0\1\0", 5)}},
      {{"\xff\xfe\xfd"}, {"\xff\xff\xfe\xfd\xfe"}},
  };
  Random random(1);
  for (const Case& entry : cases)
    for (const std::string& text : entry.texts)
      check_all_splits(marked_values(entry.secrets), text, random);
}

TEST_CASE("masker: random secrets over a small alphabet are masked as the reference masks them") {
  for (std::uint64_t seed = 1; seed <= 250; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::string_view alphabet = std::string_view("abcdef").substr(0, 1 + random.below(3));
    const std::size_t longest = random.below(2) == 0 ? 6 : 50;
    std::vector<std::string> secrets;
    for (std::size_t i = 1 + random.below(6); i > 0; --i)
      secrets.push_back(random.text(1 + random.below(longest), alphabet));
    // Pieces of one another: shared beginnings, and ends that are beginnings.
    if (random.below(2) == 0) {
      const std::string first = secrets.front();
      secrets.push_back(first + random.text(random.below(20), alphabet));
      secrets.push_back(first.substr(first.size() / 2) +
                        random.text(1 + random.below(20), alphabet));
      secrets.push_back(random.text(random.below(8), alphabet) + first + first);
    }
    const std::string text =
        mixed_text(secrets, 40 + random.below(80), random.below(2) == 0 ? "abx" : "abcdef", random);
    check_all_splits(marked_values(secrets), text, random);
  }
}

TEST_CASE("masker: all forms of random secrets are masked as the reference masks them") {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    Random random(seed + 1000);
    std::vector<MaskedValue> values;
    for (std::size_t i = 1 + random.below(3); i > 0; --i) {
      std::string value = random.text(1 + random.below(30), "aB3/+ \"\\\n\t\xc3\xa9%&~");
      values.push_back(random.below(2) == 0 ? marked(value) : derived(value));
    }
    const auto patterns = all_patterns(values);
    if (patterns.empty()) continue;
    check_all_splits(values, mixed_text(texts_of(patterns), 120, "aB3/+ \"\\\n%&=", random),
                     random);
  }
}

TEST_CASE("masker: long texts with sparse and dense secrets equal the reference across blocks") {
  Random random(7);
  const std::vector<std::string> secrets = {
      random.text(40, "abcdefghijklmnop0123456789"), random.text(9, "abcdefghijklmnop"),
      random.text(16, "0123456789"), random.text(5000, "abcdefghijklmnop"), "hunter2"};
  const auto values = marked_values(secrets);
  const auto patterns = all_patterns(values);
  const auto compiled = MaskerPatterns::compile(values);
  std::string text;
  while (text.size() < 300'000) {
    text += random.text(random.below(9000), "abcdefghijklmnop0123456789 \n");
    text += mixed_text(texts_of(patterns), 50, "ab", random);
  }
  const std::string expected = mask_reference(patterns, text);
  const auto check = [&](const std::string& out) {
    const auto difference = std::mismatch(out.begin(), out.end(), expected.begin(), expected.end());
    const auto at = static_cast<std::size_t>(difference.first - out.begin());
    CHECK(out.substr(std::min(at, out.size()), 100) ==
          expected.substr(std::min(at, expected.size()), 100));
  };
  check(mask_text(*compiled, text));
  Masker masker(compiled);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = 1 + random.below(20'000);
    masker.write(std::string_view(text).substr(at, bytes), out);
    at += bytes;
  }
  masker.flush(out);
  check(out);
}

TEST_CASE("masker: only bytes that can still become part of a secret are held back") {
  const std::string a(30, 'a');
  check_held({a.substr(0, 16), a.substr(0, 15) + "bcd", "x" + a.substr(0, 16) + "by"},
             "x" + a.substr(0, 16) + "bc!");
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed + 5000);
    std::vector<std::string> secrets;
    for (std::size_t i = 1 + random.below(4); i > 0; --i)
      secrets.push_back(seed % 2 == 0 ? random.text(1 + random.below(25), "ab")
                                      : periodic(1 + random.below(40), random));
    check_held(secrets, mixed_text(secrets, 80, "abx", random));
  }
}

TEST_CASE("masker: secrets that repeat themselves and one another fall back as often as needed") {
  const std::string a(40, 'a');
  Random random(3);
  check_all_splits(marked_values({a.substr(0, 18) + "cddd", a.substr(0, 30) + "cxx"}),
                   a.substr(0, 30) + "cddd " + a.substr(0, 30) + "cxx", random);
  const std::string short_a = a.substr(0, 16);
  check_all_splits(marked_values({short_a + "aw", short_a + "bx", "z" + short_a + "by"}),
                   "z" + short_a + "bx z" + short_a + "by", random);
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    CAPTURE(seed);
    Random each(seed + 9000);
    std::vector<std::string> secrets;
    for (std::size_t i = 2 + each.below(5); i > 0; --i)
      secrets.push_back(periodic(16 + each.below(40), each));
    check_all_splits(marked_values(secrets), mixed_text(secrets, 100, "ab", each), each);
  }
}

TEST_CASE("masker: an endless run of overlapping secrets is one mask, and nothing piles up") {
  const auto compiled = MaskerPatterns::compile(marked_values({"abab"}));
  Masker masker(compiled);
  std::string out;
  for (int i = 0; i < 20'000; ++i) {
    masker.write("abababab", out);
    REQUIRE(out == "[MASKED]");
  }
  masker.write("!", out);
  CHECK(out == "[MASKED]!");
}
