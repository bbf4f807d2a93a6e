#include "executor/git_names.hpp"

#include <doctest/doctest.h>
#include <string>

namespace flow_runner {

TEST_CASE("git names: what any file system may take for .git is refused") {
  for (const char* name :
       {".git", ".GIT", ".Git", ".git ", ".git.", ".git . .", "git~1", "GIT~1",
        ".git::$INDEX_ALLOCATION", ".git:stream", ".g\xE2\x80\x8Cit", "\xEF\xBB\xBF.git",
        ".gi\xE2\x80\xAEt", ".git\xE2\x81\xAA", "a\\.git", ".git\\config", "git~1 ."}) {
    INFO(name);
    CHECK(is_dot_git(name));
    CHECK_FALSE(check_entry_name(name, "").has_value());
  }
}

TEST_CASE("git names: ordinary names are not taken for .git") {
  for (const char* name : {"git", ".gitignore", ".gitattributes", ".github", "x.git", ".gi",
                           "git~2", "...", "\xE2\x82\xAC.git", "a:b", ".g it", "ab\xE2\x80"}) {
    INFO(name);
    CHECK_FALSE(is_dot_git(name));
    CHECK(check_entry_name(name, "folder").has_value());
  }
}

TEST_CASE("git names: names that lead out of their folder, or none, are refused") {
  using namespace std::string_view_literals;
  for (const auto name : {""sv, "."sv, ".."sv, "a/b"sv, "a\0b"sv}) {
    CHECK_FALSE(check_entry_name(name, "").has_value());
  }
  CHECK(check_entry_name(std::string(255, 'a'), "").has_value());
  CHECK_FALSE(check_entry_name(std::string(256, 'a'), "").has_value());
}

TEST_CASE("git names: every component of a path is checked") {
  CHECK(check_relative_path("a/b/c").has_value());
  for (const char* path :
       {"/a", "a/", "a//b", "../a", "a/../b", "a/.git/hooks/post-commit", ".GIT/config", ""}) {
    INFO(path);
    CHECK_FALSE(check_relative_path(path).has_value());
  }
  std::string longest;
  while (longest.size() < max_git_path_bytes - 1) longest += "a/";
  longest += 'b';
  CHECK(check_relative_path(longest).has_value());
  CHECK_FALSE(check_relative_path(longest + "c").has_value());
}

TEST_CASE("git names: the message names the entry and its folder") {
  const auto refused = check_entry_name(".git", "sub/dir");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::invalid_input);
  CHECK(refused.error().message == "the entry .git in sub/dir would be taken for git's own folder");
}

}  // namespace flow_runner
