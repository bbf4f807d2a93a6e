#include "config/yaml_source.hpp"

#include <doctest/doctest.h>
#include <string>

using namespace flow_runner;

namespace {

/// Reads `bytes`, whose root is a list with one scalar, and says where each byte of it stands.
struct Located {
  explicit Located(std::string text) : bytes(std::move(text)), lines(bytes) {
    DiagnosticList diagnostics;
    root = read_yaml(bytes, {}, diagnostics);
    REQUIRE(root != nullptr);
    REQUIRE(root->items.size() == 1);
    source = ScalarSource::locate(lines, *root->items.front());
  }
  [[nodiscard]] const std::string& text() const { return root->items.front()->text; }
  /// `line:column` of the first occurrence.
  [[nodiscard]] std::string place(const std::string& word) const {
    REQUIRE(text().find(word) != std::string::npos);
    const auto place = lines.place(source.offset(text().find(word)));
    return std::to_string(place.line) + ":" + std::to_string(place.column);
  }

  std::string bytes;
  SourceLines lines;
  YamlNodePtr root;
  ScalarSource source;
};

}  // namespace

TEST_CASE("yaml source: a word in a scalar of any style has its own line and column") {
  struct Row {
    std::string bytes, word, place;
  };
  const Row rows[] = {
      {"- echo word", "word", "1:8"},
      {"# one\n- echo ä word\n", "word", "2:10"},
      {"- echo\n  a\n  word\n", "word", "3:3"},
      {"- \"a \\\"b\\\" \\n \\u00e4 word\"\n", "word", "1:22"},
      {"- \"a\n\n  b \\\n   word\"\n", "word", "4:4"},
      {"- 'it''s a word'\n", "word", "1:12"},
      {"- 'one\n  two\n\n  word'\n", "word", "4:3"},
      {"- |\n  one\n\n    two\n  word\n", "word", "5:3"},
      {"- |-\n  one\n  word", "word", "3:3"},
      {"- |+\n  one\n  word\n\n\n", "word", "3:3"},
      {"- |2\n    one\n  word\n", "word", "3:3"},
      {"- | # why\n \n  one\n  word\n", "word", "4:3"},
      {"- >\n  one\n  two\n\n  three\n    more\n  word\n", "word", "7:3"},
      {"- >-\n  one\n  word\n", "word", "3:3"},
      {"- >\n\n    first more\n    word\n", "word", "4:5"},
      {"- |\r\n  one\r\n  word\r\n", "word", "3:3"},
      {"\xEF\xBB\xBF- echo word\n", "word", "1:8"},
      {"- &name echo word\n", "word", "1:14"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    const Located located(row.bytes);
    CHECK(located.source.exact());
    CHECK(located.place(row.word) == row.place);
    CHECK(located.source.end() <= row.bytes.size());
  }
}

TEST_CASE("yaml source: every byte of a block stands where it is written") {
  const Located located("- |\n    a b\n      c\n\n    d\n");
  REQUIRE(located.source.exact());
  for (std::size_t i = 0; i < located.text().size(); ++i) {
    CAPTURE(i);
    CHECK(located.bytes[located.source.offset(i)] == located.text()[i]);
  }
  CHECK(located.source.end() == located.bytes.size());
}

TEST_CASE("yaml source: a replacement is written as the style of the scalar needs it") {
  CHECK(Located("- |\n  a\n").source.encode("x\n\"y'") == "x\n  \"y'");
  CHECK(Located("- 'a'\n").source.encode("it's") == "it''s");
  CHECK(Located("- \"a\"\n").source.encode(R"(a"\n)") == R"(a\"\\n)");
  CHECK(Located("- a\n").source.encode("b 'c'") == "b 'c'");
  CHECK_FALSE(Located("- a\n").source.encode("b: c").has_value());
  CHECK_FALSE(Located("- a\n").source.encode("b #c").has_value());
  CHECK_FALSE(Located("- 'a'\n").source.encode("b\nc").has_value());
}

TEST_CASE("yaml source: a place outside the file is its nearest byte") {
  const SourceLines lines("ab\ncd");
  CHECK(lines.offset(9, 9) == 5);
  CHECK(lines.offset(1, 9) == 2);
  CHECK(lines.offset(0, 0) == 0);
  CHECK(lines.place(99).line == 2);
  CHECK(lines.line_begin(4) == 3);
  CHECK(lines.line_end(1) == 3);
  CHECK(lines.line_end(4) == 5);
}
