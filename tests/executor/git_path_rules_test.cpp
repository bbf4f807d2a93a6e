#include "executor/git_path_rules.hpp"

#include <doctest/doctest.h>
#include <string>

#include "executor/git_object_format.hpp"

namespace flow_runner {

TEST_CASE("path rules: wildcards match as git's wildmatch does") {
  struct Row {
    std::string_view pattern;
    std::string_view text;
    bool matches;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"foo", "foo", true},
           {"foo", "bar", false},
           {"", "", true},
           {"???", "foo", true},
           {"??", "foo", false},
           {"*", "foo", true},
           {"f*", "foo", true},
           {"*f", "foo", false},
           {"*foo*", "foo", true},
           {"*ob*a*r*", "foobar", true},
           {"*ab", "aaaaaaabababab", true},
           {"foo\\*", "foo*", true},
           {"foo\\*bar", "foobar", false},
           {"*[al]?", "ball", true},
           {"[ten]", "ten", false},
           {"t[a-g]n", "ten", true},
           {"t[!a-g]n", "ten", false},
           {"t[^a-g]n", "ton", true},
           {"a[]]b", "a]b", true},
           {"a[]-]b", "a-b", true},
           {"]", "]", true},
           {"foo*bar", "foo/baz/bar", false},
           {"foo**bar", "foo/baz/bar", false},
           {"foo/**/bar", "foo/baz/bar", true},
           {"foo/**/bar", "foo/bar", true},
           {"foo/**/**/bar", "foo/b/bar", true},
           {"**/foo", "XXX/foo", true},
           {"**/foo", "foo", true},
           {"**/foo", "bar/baz/xfoo", false},
           {"*/foo", "bar/baz/foo", false},
           {"**/bar/*", "deep/foo/bar/baz", true},
           {"**/bar/*", "deep/foo/bar", false},
           {"foo/**", "foo", false},
           {"foo/**", "foo/a/b", true},
           {"foo?bar", "foo/bar", false},
           {"foo[/]bar", "foo/bar", false},
           {"[[:alpha:]][[:digit:]]", "a1", true},
           {"[[:upper:]]", "a", false},
           {"[a-c]b*", "cbx", true},
           {"[", "[", false},
           {"[a", "a", false},
           {"\\", "\\", true},
           {"a/**/b/**/c", "a/x/b/y/b/z/c", true},
           {"a/*/b*/c", "a/x/bb/c", true},
       }) {
    CAPTURE(row.pattern);
    CAPTURE(row.text);
    CHECK(wildmatch(row.pattern, row.text) == row.matches);
  }
}

TEST_CASE("path rules: a pattern made to be slow is not") {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "**/*a*";
  CHECK_FALSE(wildmatch(pattern, std::string(4000, 'a') + "/b"));
}

TEST_CASE("path rules: LFS attributes: the last line wins, deeper files win, macros count") {
  LfsRules rules;
  rules.add(
      "",
      "[attr]big filter=lfs -text\n*.bin big\n\"a b\" filter=lfs\n*.txt text\n/top filter=lfs\n");
  rules.add("sub", "x.bin !filter\n*.txt filter=lfs\n");
  CHECK(rules.covers("d/y.bin"));
  CHECK(rules.covers("a b"));
  CHECK(rules.covers("top"));
  CHECK_FALSE(rules.covers("d/top"));
  CHECK_FALSE(rules.covers("sub/x.bin"));
  CHECK(rules.covers("sub/d/y.txt"));
  CHECK_FALSE(rules.covers("subx/y.txt"));
}

TEST_CASE("object format: trees keep git's order and refuse what no git writes") {
  const ObjectId id = *ObjectId::parse(std::string(40, '1'), "id");
  const std::string tree = format_tree({{EntryMode::tree, "a", id},
                                        {EntryMode::file, "a-b", id},
                                        {EntryMode::file, "a.b", id},
                                        {EntryMode::executable, "a0", id}});
  const auto parsed = parse_untrusted_tree(tree);
  REQUIRE(parsed.has_value());
  CHECK(parsed->at(0).name == "a-b");
  CHECK(parsed->at(2).name == "a");
  CHECK(parse_tree(tree.substr(0, tree.size() - 1)).has_error());
  CHECK(parse_tree(tree.substr(0, 3)).has_error());
  const std::string raw(id.bytes.begin(), id.bytes.end());
  const auto entry = [&](std::string_view mode_and_name) {
    return std::string(mode_and_name) + '\0' + raw;
  };
  CHECK(parse_untrusted_tree(entry("100644 b") + entry("100644 a")).has_error());
  CHECK(
      parse_untrusted_tree(entry("100644 a") + entry("100644 a-b") + entry("40000 a")).has_error());
  CHECK(parse_untrusted_tree(entry("040000 a")).has_error());
  CHECK(parse_untrusted_tree(entry("100664 a")).has_error());
  CHECK(parse_tree(entry("100664 a")).has_value());
  CHECK(parse_tree(entry("100644 a/b")).has_error());
  CHECK(parse_tree(entry("100644 ")).has_error());
  CHECK(parse_tree(entry("7777777777 a")).has_error());
}

TEST_CASE("object format: identities lose what would break a commit") {
  CHECK(*clean_identity("A B <a@b>") == "A B <a@b>");
  CHECK(*clean_identity(" A\n<x> <a\r@b> ") == "Ax <a@b>");
  CHECK(clean_identity("A").has_error());
  CHECK(clean_identity("<a@b>").has_error());
  CHECK(clean_identity("A <>").has_error());
  CHECK(clean_identity("> <").has_error());
}

}  // namespace flow_runner
