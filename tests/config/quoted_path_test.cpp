#include "config/quoted_path.hpp"

#include <doctest/doctest.h>

using namespace flow_runner;
using namespace std::string_literals;
using namespace std::string_view_literals;

TEST_CASE("quoted path: paths are quoted as git prints them, and read back") {
  struct Row {
    std::string path;
    std::string quoted;
  };
  const Row rows[] = {{"src/main.cpp", "src/main.cpp"},
                      {"a b", "a b"},
                      {"", ""},
                      {"tab\there", "\"tab\\there\""},
                      {"line\nfeed", "\"line\\nfeed\""},
                      {"quote\"", "\"quote\\\"\""},
                      {"\"x\"", "\"\\\"x\\\"\""},
                      {"back\\slash", "\"back\\\\slash\""},
                      {"\xC3\xA9", "\"\\303\\251\""},
                      {"\xFF", "\"\\377\""},
                      {"\x01\x7F", "\"\\001\\177\""},
                      {"\a\b\v\f\r", "\"\\a\\b\\v\\f\\r\""}};
  for (const Row& row : rows) {
    CAPTURE(row.quoted);
    CHECK(quote_path(row.path) == row.quoted);
    CHECK(unquote_path(row.quoted).value() == row.path);
  }
}

TEST_CASE("quoted path: what git would not print is refused") {
  for (const std::string_view text :
       {"\""sv, "\"a"sv, "\"a\"b"sv, "\"\\x41\""sv, "\"\\"sv, "\"\\\""sv, "\"\\12\""sv, "\"\\1"sv,
        "\"\\400\""sv, "\"\\000\""sv, "\"\\18a\""sv, "\"a\0b\""sv}) {
    CAPTURE(text);
    CHECK(unquote_path(text).has_error());
  }
}

TEST_CASE("quoted path: UTF-8 is recognised strictly") {
  for (const std::string_view text :
       {""sv, "plain"sv, "\0"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv, "\xED\x9F\xBF"sv,
        "\xEE\x80\x80"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv}) {
    CAPTURE(text);
    CHECK(is_utf8(text));
  }
  for (const std::string_view text :
       {"\x80"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xC3"sv, "\xC3("sv, "\xE0\x9F\xBF"sv,
        "\xED\xA0\x80"sv, "\xE2\x82"sv, "\xF0\x8F\xBF\xBF"sv, "\xF4\x90\x80\x80"sv,
        "\xF5\x80\x80\x80"sv, "\xFF"sv, "ok\xF0\x90\x80"sv}) {
    CAPTURE(text);
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("quoted path: a prefix never ends inside a character") {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
  const std::size_t ends[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (std::size_t max = 0; max < std::size(ends); ++max) {
    CAPTURE(max);
    CHECK(utf8_prefix(text, max) == text.substr(0, ends[max]));
  }
  CHECK(utf8_prefix("\x80\x80\x80\x80\x80", 3).size() == 3);
  CHECK(utf8_prefix("\xF0\xF0\xF0\xF0\xF0", 3).size() == 3);
}
