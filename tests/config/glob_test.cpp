#include "config/glob.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <string>

using namespace flow_runner;

TEST_CASE("glob: paths match as in GitLab") {
  struct Row {
    std::string_view pattern;
    std::string_view path;
    bool matches;
  };
  const Row rows[] = {
      {".gitlab-ci.yml", ".gitlab-ci.yml", true},
      {".gitlab-ci.yml", "sub/.gitlab-ci.yml", false},
      {".gitlab-ci.yml", ".gitlab-ci.yml/x", false},
      {".gitlab-ci.yml", ".GITLAB-CI.yml", false},
      {".gitlab-ci.yml", "xgitlab-ci.yml", false},
      {"/.gitmodules", ".gitmodules", true},
      {".gitlab/**", ".gitlab/duo/flows/x.yml", true},
      {".gitlab/**", ".gitlab/x", true},
      {".gitlab/**", ".gitlab", true},
      {".gitlab/**", ".gitlabx", false},
      {".gitlab/**", "a/.gitlab/x", false},
      {".gitlab/", ".gitlab/duo/x", true},
      {"**/CODEOWNERS", "CODEOWNERS", true},
      {"**/CODEOWNERS", "docs/CODEOWNERS", true},
      {"**/CODEOWNERS", "a/b/c/CODEOWNERS", true},
      {"**/CODEOWNERS", "a/XCODEOWNERS", false},
      {"**/CODEOWNERS", "CODEOWNERS/x", false},
      {"a/**/b", "a/b", true},
      {"a/**/b", "a/x/y/b", true},
      {"a/**/b", "ab", false},
      {"a/**/b", "a/xb", false},
      {"a/**/b/**", "a/x/b", true},
      {"a/**/b/**", "a/x/b/y/z", true},
      {"**", "", true},
      {"**", "any/thing", true},
      {"**/", "a/b", true},
      {"*", "file", true},
      {"*", ".hidden", true},
      {"*", "a/b", false},
      {"*.yml", "a.yml", true},
      {"*.yml", "a/b.yml", false},
      {"**/*.yml", "a/b.yml", true},
      {"a**b", "axxb", true},
      {"a**b", "ax/xb", false},
      {"*/*/c", "a/b/c", true},
      {"*/*/c", "a/c", false},
      {"a?c", "abc", true},
      {"a?c", "a/c", false},
      {"a?c",
       "a\xC3\xA9"
       "c",
       true},
      {"a?c",
       "a\xFF"
       "c",
       true},
      {"a?c", "ac", false},
      {"[ab]", "a", false},
      {"[ab]", "[ab]", true},
      {"\\*", "*", true},
      {"\\*", "x", false},
      {"a\\", "a\\", true},
      {"", "", true},
      {"", "a", false},
      {"a", "", false},
      {"*a*b*c", "xxaxxbxxc", true},
      {"*a*b*c", "xxaxxbxx", false},
      {"x/*/**", "x/y", true},
      {"x/*/**", "x", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pattern);
    CAPTURE(row.path);
    CHECK(path_glob_match(row.pattern, row.path) == row.matches);
  }
}

TEST_CASE("glob: refs match by a star over any characters") {
  struct Row {
    std::string_view pattern;
    std::string_view ref;
    bool matches;
  };
  const Row rows[] = {
      {"workloads/*", "workloads/x", true},
      {"workloads/*", "refs/heads/workloads/x", true},
      {"workloads/*", "workloads/x/y", true},
      {"workloads/*", "refs/workloads/x", false},
      {"workloads/*", "xworkloads/x", false},
      {"refs/workloads/*", "refs/workloads/x", true},
      {"refs/workloads/*", "workloads/x", false},
      {"refs/heads/duo/*", "duo/x", true},
      {"*", "main", true},
      {"*", "refs/tags/v1", false},
      {"refs/*", "refs/tags/v1", true},
      {"release-*-stable", "release-1-2-stable", true},
      {"release-*-stable", "release-1-2-stable-x", false},
      {"*a*b", "xaxbxb", true},
      {"main", "main", true},
      {"main", "Main", false},
      {"mai?", "main", false},
      {"m.in", "main", false},
      {"", "", true},
      {"", "x", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pattern);
    CAPTURE(row.ref);
    CHECK(ref_pattern_match(row.pattern, row.ref) == row.matches);
  }
}

TEST_CASE("glob: a pattern made to blow up does not") {
  const std::string path(4'000, 'a');
  std::string stars;
  std::string folders;
  for (int i = 0; i < 60; ++i) stars += "*a";
  for (int i = 0; i < 60; ++i) folders += "**/a*/";
  const auto start = std::chrono::steady_clock::now();
  CHECK_FALSE(path_glob_match(stars + "b", path));
  CHECK_FALSE(path_glob_match(folders + "b", path));
  CHECK_FALSE(ref_pattern_match(stars + "b", path));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}
