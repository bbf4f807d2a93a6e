#include <algorithm>
#include <doctest/doctest.h>
#include <string>
#include <vector>

#include "executor/masker.hpp"
#include "tests/executor/masker_reference.hpp"

using namespace flow_runner;
using namespace flow_runner::test;

using Finding = SecretScanner::Finding;

namespace {

std::vector<Finding> scan(const std::vector<MaskedValue>& values, std::string_view text,
                          std::size_t piece_bytes, std::size_t min_bytes = 12) {
  SecretScanner scanner(MaskerPatterns::compile(values), min_bytes);
  for (std::size_t at = 0; at < text.size(); at += piece_bytes)
    scanner.write(text.substr(at, piece_bytes));
  return scanner.finish();
}

}  // namespace

TEST_CASE("scanner: a secret in any form is named with its line, however the text is split") {
  const std::vector<MaskedValue> values = {marked("s3cret-value!", "TOKEN"),
                                           marked("another \"secret\"", "PASSWORD"),
                                           marked("short", "SHORT")};
  const std::string text =
      "one\ns3cret-value! short\n\nbase64 czNjcmV0LXZhbHVlIQ==\n"
      R"({"a": "another \"secret\""})"
      "\nanother%20%22secret%22 s3cret-value!\n";
  const std::vector<Finding> expected = {
      {"TOKEN", 2}, {"TOKEN", 4}, {"PASSWORD", 5}, {"PASSWORD", 6}, {"TOKEN", 6}};
  for (std::size_t bytes = 1; bytes <= text.size(); ++bytes) {
    CAPTURE(bytes);
    CHECK(scan(values, text, bytes) == expected);
  }
}

TEST_CASE("scanner: the line is the one where a secret of many lines begins") {
  const std::string value = "first line of it\nsecond line of it\nthird line of it\n";
  const std::string text = "\n\n" + value + "x";
  for (std::size_t bytes : {1, 3, 7, 1000}) {
    CAPTURE(bytes);
    CHECK(scan({marked(value, "KEY")}, text, bytes) ==
          std::vector<Finding>{{"KEY", 3}, {"KEY", 4}, {"KEY", 5}});
  }
}

TEST_CASE("scanner: the secret's length decides, not that of its spelling") {
  CHECK(scan({marked("elevenbytes", "A")}, "elevenbytes ZWxldmVuYnl0ZXM=", 100).empty());
  CHECK(scan({marked("twelve-bytes", "A")}, "twelve-bytes", 100).size() == 1);
  CHECK(scan({marked("twelve-bytes", "A")}, "twelve-bytes", 100, 13).empty());
}

TEST_CASE("scanner: what looks like a credential is told by its line, however the text is split") {
  // Put together here, so that no scanner takes this file for a leak.
  const std::string token = "glpat" + std::string("-AbCdEfGh1234567890xy");
  const std::string key = "-----BEGIN PRIVATE" + std::string(" KEY-----\n") + std::string(64, 'M') +
                          "\n" + std::string(64, 'I') + "\n-----END PRIVATE KEY-----\n";
  const std::string text = "one\n" + token + "\nthree\n" + key + "eight " + token + "\n";
  for (std::size_t bytes : {1, 3, 7, 64, 1000}) {
    CAPTURE(bytes);
    SecretScanner scanner(MaskerPatterns::compile({}), 12);
    for (std::size_t at = 0; at < text.size(); at += bytes)
      scanner.write(std::string_view(text).substr(at, bytes));
    CHECK(scanner.suspect_lines() == std::vector<std::uint64_t>{2, 5, 8});
    CHECK(scanner.finish().empty());
    CHECK(scanner.suspect_lines().empty());
  }
}

TEST_CASE("scanner: the armour of a PEM key is no secret, its lines are") {
  const std::string key =
      "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
  CHECK(scan({marked(key, "KEY")}, "if (line == \"-----BEGIN PRIVATE KEY-----\")", 100).empty());
  CHECK(scan({marked(key, "KEY")}, "x\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n", 100) ==
        std::vector<Finding>{{"KEY", 2}});
}

TEST_CASE("scanner: two variables with one value are both named") {
  CHECK(scan({marked("the-same-value", "A"), marked("the-same-value", "B")}, "the-same-value", 5) ==
        std::vector<Finding>{{"A", 1}, {"B", 1}});
}

TEST_CASE("scanner: findings are bounded, and finish() starts afresh") {
  SecretScanner scanner(MaskerPatterns::compile({marked("s3cret-value!", "TOKEN")}), 12);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "s3cret-value!\n";
  scanner.write(text);
  CHECK(scanner.finish().size() == SecretScanner::max_findings);
  CHECK(scanner.finish().empty());
  scanner.write("s3cret-");
  CHECK(scanner.finish().empty());
  scanner.write("value!");
  CHECK(scanner.finish().empty());
}

TEST_CASE("find: hits are in order, and overlapping ones of one secret are one") {
  const auto patterns =
      MaskerPatterns::compile({marked("abcabcabcabc", "A"), marked("cabcabcabcabx", "B")});
  const auto hits = patterns->find("..abcabcabcabcabcabx..abcabcabcabc", 12);
  REQUIRE(hits.size() == 3);
  CHECK(hits[0].name == "A");
  CHECK(hits[0].begin == 2);
  CHECK(hits[0].end == 17);
  CHECK(hits[1].name == "B");
  CHECK(hits[1].begin == 7);
  CHECK(hits[1].end == 20);
  CHECK(hits[2].begin == 22);
  CHECK(patterns->find("abcabcabcabc", 13).empty());
}

TEST_CASE("find: agrees with a plain search on random texts") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    std::vector<MaskedValue> values;
    for (int i = 0; i < 4; ++i)
      values.push_back(
          marked(random.text(1 + random.below(20), "ab"), std::string(1, char('A' + i))));
    const std::string text = random.text(300, "ab");
    const auto patterns = MaskerPatterns::compile(values);
    const auto hits = patterns->find(text, 1);
    for (const MaskedValue& value : values) {
      std::vector<bool> expected(text.size(), false);
      for (const std::string& pattern : texts_of(all_patterns({value})))
        for (auto at = text.find(pattern); at != std::string::npos; at = text.find(pattern, at + 1))
          std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(at), pattern.size(), true);
      std::vector<bool> found(text.size(), false);
      for (const auto& hit : hits) {
        if (hit.name == value.name)
          std::fill(found.begin() + static_cast<std::ptrdiff_t>(hit.begin),
                    found.begin() + static_cast<std::ptrdiff_t>(hit.end), true);
      }
      REQUIRE(found == expected);
    }
  }
}
