#include <algorithm>
#include <doctest/doctest.h>
#include <set>
#include <string>
#include <vector>

#include "executor/masker.hpp"
#include "executor/secret_forms.hpp"
#include "tests/executor/masker_reference.hpp"
#include "tests/executor/secret_spellings.hpp"

using namespace flow_runner;
using namespace flow_runner::test;

namespace {

std::string masked(const std::vector<MaskedValue>& values, std::string_view text) {
  return mask_text(*MaskerPatterns::compile(values), text);
}

std::string pem_key() {
  std::string key = "-----BEGIN PRIVATE KEY-----\n";
  Random random(3);
  for (int i = 0; i < 26; ++i)
    key += random.text(64, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123456789+/") + "\n";
  return key + "-----END PRIVATE KEY-----\n";
}

}  // namespace

TEST_CASE("masker: each form of a secret is masked as a whole") {
  struct Case {
    std::string_view what;
    std::string value;
    std::string text;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"raw", "s3cret-value", "a s3cret-value b", "a [MASKED] b"},
      {"other case is another word", "s3cret-value", "S3CRET-VALUE", "S3CRET-VALUE"},
      {"base64, alone", "s3cret-value!", "czNjcmV0LXZhbHVlIQ==", "[MASKED]"},
      {"base64, alone, without padding", "s3cret-value!", "czNjcmV0LXZhbHVlIQ", "[MASKED]"},
      {"base64 after one byte", "s3cret-value!", "eHMzY3JldC12YWx1ZSE=", "eH[MASKED]"},
      {"base64 after two bytes", "s3cret-value!", "eHhzM2NyZXQtdmFsdWUh", "eHh[MASKED]"},
      {"base64 in the middle", "s3cret-value!", "eHhzM2NyZXQtdmFsdWUheHh4", "eHh[MASKED]eHh4"},
      {"base64 as in basic authentication", "s3cret-value!", "dXNlcjpzM2NyZXQtdmFsdWUh",
       "dXNlcj[MASKED]"},
      {"base64, standard alphabet", "\xfb\xff\xbe\xfb\xff\xbe\xfb\xff", "+/+++/+++/8=", "[MASKED]"},
      {"base64, URL-safe alphabet", "\xfb\xff\xbe\xfb\xff\xbe\xfb\xff", "-_---_---_8", "[MASKED]"},
      {"percent, upper case", "a/b c+d=e%f", "a%2Fb%20c%2Bd%3De%25f", "[MASKED]"},
      {"percent, lower case", "a/b c+d=e%f", "a%2fb%20c%2bd%3de%25f", "[MASKED]"},
      {"percent, plus for a space", "a/b c+d=e%f", "a%2Fb+c%2Bd%3De%25f", "[MASKED]"},
      {"percent, path", "a/b c+d=e%f", "a/b%20c%2Bd%3De%25f", "[MASKED]"},
      {"percent, encodeURI", "a/b c+d=e%f", "a/b%20c+d=e%25f", "[MASKED]"},
      {"percent, every byte", "pass-word", "%70%61%73%73%2D%77%6F%72%64", "[MASKED]"},
      {"percent, every byte, lower case", "pass-word", "%70%61%73%73%2d%77%6f%72%64", "[MASKED]"},
      {"percent, tilde of an HTML form", "to~ken*1", "to%7Eken*1", "[MASKED]"},
      {"percent, UTF-8", "p\xc3\xa4sswort", "p%C3%A4sswort", "[MASKED]"},
      {"JSON quotes", "a\"b\\c/d-long", R"("a\"b\\c/d-long")", R"("[MASKED]")"},
      {"JSON slash", "a\"b\\c/d-long", R"("a\"b\\c\/d-long")", R"("[MASKED]")"},
      {"JSON in JSON", "a\"b\\c/d-long", R"("a\\\"b\\\\c/d-long")", R"("[MASKED]")"},
      {"JSON control characters", "tab\tbell\x07line\nx", R"(tab\tbell\u0007line\nx)", "[MASKED]"},
      {"JSON hex, lower case", "key\x1b[value", R"(key\u001b[value)", "[MASKED]"},
      {"JSON hex, upper case", "key\x1b[value", R"(key\u001B[value)", "[MASKED]"},
      {"JSON ASCII only", "p\xc3\xa4sswort", R"(p\u00e4sswort)", "[MASKED]"},
      {"JSON ASCII only, upper case", "p\xc3\xa4sswort", R"(p\u00E4sswort)", "[MASKED]"},
      {"JSON surrogates", "key-\xf0\x9f\x94\x91-key", R"(key-\ud83d\udd11-key)", "[MASKED]"},
      {"JSON as Go writes it", "a<b>c&d'efg", R"(a\u003cb\u003ec\u0026d'efg)", "[MASKED]"},
      {"JSON as .NET writes it", "a\"b+c'efgh", R"(a\u0022b\u002Bc\u0027efgh)", "[MASKED]"},
      {"JSON, ill-formed UTF-8 raw", "abc\"\xff\xfe-def", "abc\\\"\xff\xfe-def", "[MASKED]"},
      {"without the file's newline", "token-value\n", "token-value.", "[MASKED]."},
      {"without the file's newline, base64", "token-value\n", "dG9rZW4tdmFsdWU=", "[MASKED]"},
      {"one line of many", "first line\n  second \"line\"\nx\n", "7: second \"line\"!",
       "7: [MASKED]!"},
      {"one line of many, as JSON", "first line\n  second \"line\"\nx\n", R"(second \"line\"!)",
       "[MASKED]!"},
      {"lines with carriage returns", "first line\nsecond line\n", "first line\r\nsecond line\r\n",
       "[MASKED]\r\n[MASKED]\r\n"},
      {"a short line is left alone", "first line\nx\n", "x", "x"},
  };
  for (const Case& entry : cases) {
    CAPTURE(entry.what);
    CHECK(masked({derived(entry.value)}, entry.text) == entry.expected);
  }
}

TEST_CASE("masker: what is too short is masked only when it is marked") {
  CHECK(masked({derived("1234567")}, "1234567") == "1234567");
  CHECK(masked({derived("12345678")}, "12345678") == "[MASKED]");
  CHECK(masked({marked("1234567")}, "1234567") == "[MASKED]");
  CHECK(masked({marked("x")}, "axb") == "a[MASKED]b");
  CHECK(masked({marked("")}, "axb") == "axb");
  CHECK(masked({marked("abcd\nabc\n")}, "abcd abc") == "[MASKED] abc");
  CHECK(masked({derived("abcdefg\nab")}, "abcdefg") == "abcdefg");
}

TEST_CASE("masker: no spelling of a short secret is so short that it tears ordinary text") {
  CHECK(masked({marked(" ")}, "1+1") == "1+1");
  CHECK(masked({marked("a")}, "YYYY Q") == "YYYY Q");
  CHECK(masked({marked("abc")}, "YWJj") == "[MASKED]");
}

TEST_CASE("masker: without secrets nothing is changed or held back") {
  const auto patterns = MaskerPatterns::compile({});
  Masker masker(patterns);
  std::string out;
  masker.write("some text", out);
  CHECK(out == "some text");
}

TEST_CASE("masker: a PEM key is masked as a file, as JSON, in base64 and line by line") {
  const std::string key = pem_key();
  const auto patterns = MaskerPatterns::compile({marked(key)});
  CHECK(mask_text(*patterns, "<" + key + ">") == "<[MASKED]>");
  std::string json;
  std::string numbered;
  int line_number = 0;
  for (std::size_t at = 0; at < key.size();) {
    const std::size_t end = key.find('\n', at);
    const std::string line = key.substr(at, end - at);
    json += line + "\\n";
    numbered += std::to_string(++line_number) + "\t" + line + "\n";
    at = end + 1;
  }
  CHECK(mask_text(*patterns, "\"" + json + "\"") == "\"[MASKED]\"");
  const std::string lines = mask_text(*patterns, numbered);
  CHECK(lines.starts_with("1\t[MASKED]\n2\t[MASKED]\n"));
  CHECK(lines.size() < 28 * 14);
}

TEST_CASE("masker: a secret of 200 KiB is masked, and one that breaks off is given back") {
  Random random(9);
  const std::string value = random.text(200'000, "abcdefghijklmnopqrstuvwxyz\"/");
  const auto patterns = MaskerPatterns::compile({derived(value)});
  CHECK(patterns->max_held_bytes() >= value.size() - 1);
  Masker masker(patterns);
  std::string out;
  masker.write("<", out);
  for (std::size_t at = 0; at < value.size(); at += 1000)
    masker.write(std::string_view(value).substr(at, 1000), out);
  masker.write(">", out);
  CHECK(out == "<[MASKED]>");
  out.clear();
  masker.write(std::string_view(value).substr(0, value.size() - 1), out);
  CHECK(out.empty());
  masker.flush(out);
  CHECK(out == value.substr(0, value.size() - 1));
}

TEST_CASE("secret forms: every family has a name of its own and knows the value it spells") {
  std::set<std::string_view> names;
  for (const SecretForm& form : secret_forms()) {
    CHECK(names.insert(form.name).second);
    std::vector<std::string> spellings;
    form.add("a/\"b c", spellings);
    CHECK_FALSE(spellings.empty());
  }
}

TEST_CASE("secret forms: no pattern is empty, whatever the value") {
  Random random(11);
  for (int i = 0; i < 300; ++i) {
    const std::string value = random.text(random.below(12), "a \n\"\\/\xc3\xa9\xf0\xff%+");
    for (const SecretPattern& pattern : secret_patterns(marked(value)))
      CHECK_FALSE(pattern.bytes.empty());
  }
}

TEST_CASE("masker: every form is masked whichever way the text is split in two") {
  for (const std::string& value : telling_values()) {
    const auto patterns = MaskerPatterns::compile({marked(value)});
    for (const Spelling& spelling : all_spellings(value)) {
      CAPTURE(spelling.name);
      const std::string text = spelling.whole();
      CAPTURE(text);
      const std::string expected = mask_text(*patterns, text);
      CHECK(leaked_piece(spelling, expected) == "");
      Masker masker(patterns);
      for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        std::string out;
        masker.write(std::string_view(text).substr(0, cut), out);
        masker.write(std::string_view(text).substr(cut), out);
        masker.flush(out);
        REQUIRE(out == expected);
      }
    }
  }
}

TEST_CASE("masker: text around what is broken up is left") {
  const auto patterns = MaskerPatterns::compile({marked("s3cret-value!")});
  const auto masked_text = [&](const std::string& text) { return mask_text(*patterns, text); };
  CHECK(masked_text("word\nczNj\ncmV0LXZhbHVlIQ==\nmore") == "word\n[MASKED]\nmore");
  const auto lines_apart = [](std::size_t lines) {
    return "czNj" + std::string(lines, '\n') + "cmV0LXZhbHVlIQ==";
  };
  CHECK(masked_text(lines_apart(24)) == "[MASKED]");
  CHECK(masked_text(lines_apart(25)) == lines_apart(25));
  CHECK(masked_text("czNj  cmV0LXZhbHVlIQ==") == "czNj  cmV0LXZhbHVlIQ==");
  CHECK(masked_text("czNj,cmV0LXZhbHVlIQ==") == "czNj,cmV0LXZhbHVlIQ==");
  CHECK(masked_text("@@\n+x: czNj\n+  cmV0LXZh\n+  bHVlIQ==\n+y: 1") == "@@\n+x: [MASKED]\n+y: 1");
  CHECK(masked_text("at 00: 73 33 63 72 65 74 2d 76 61 6c 75 65 21 !") == "at 00: [MASKED] !");
  CHECK(masked_text("115 51 99 114 101 116 45 118 97 108 117 101") ==
        "115 51 99 114 101 116 45 118 97 108 117 101");
}
