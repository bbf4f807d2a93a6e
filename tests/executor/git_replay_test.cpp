#include "executor/git_replay.hpp"

#include <doctest/doctest.h>

#include "executor/git_handles.hpp"
#include "tests/executor/git_scratch.hpp"

namespace flow_runner {
namespace {

using test::GitScratch;

const GitLibrary library;

/// base ── one ── two (the job), and base ── other (what the branch became).
struct Branches {
  GitScratch scratch;
  std::string base;

  Branches() {
    scratch.make_repository("work");
    scratch.write("work/a", "1\n2\n3\n4\n5\n6\n7\n8\n");
    scratch.write("work/b", "b\n");
    base = scratch.commit("work", "base");
  }
  [[nodiscard]] std::string commit(const std::string& file, const std::string& content,
                                   const std::string& message) const {
    scratch.write("work/" + file, content);
    return scratch.commit("work", message, 1'700'000'500);
  }
  void go(const std::string& where) const { scratch.sh("git checkout -q " + where, "work"); }
  [[nodiscard]] Result<ReplayInfo> replay(const std::string& head, const std::string& onto) const {
    return replay_commits(
        {.quarantine = scratch.path() / "work/.git", .base = base, .head = head, .onto = onto});
  }
  [[nodiscard]] ReplayInfo must(const std::string& head, const std::string& onto) const {
    auto info = replay(head, onto);
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    return *info;
  }
};

TEST_CASE("replay: onto its own base a line stays what it is") {
  const Branches branches;
  const std::string head = branches.commit("a", "changed\n", "one");
  CHECK(branches.must(head, branches.base).head == head);
  CHECK(branches.must(branches.base, head).head == head);
}

TEST_CASE("replay: commits land on the moved branch with author, committer and message kept") {
  const Branches branches;
  const std::string one = branches.commit("a", "one\n2\n3\n4\n5\n6\n7\n8\n", "one\n\nbody  \n");
  const std::string two = branches.commit("new", "new\n", "two");
  branches.go(branches.base);
  const std::string other = branches.commit("a", "1\n2\n3\n4\n5\n6\n7\neight\n", "other");
  const ReplayInfo info = branches.must(two, other);
  REQUIRE_FALSE(info.head.empty());
  CHECK(info.conflicts.empty());
  const auto& scratch = branches.scratch;
  CHECK(scratch.sh("git rev-parse " + info.head + "~2", "work") == other);
  CHECK(scratch.sh("git show " + info.head + ":a", "work") == "one\n2\n3\n4\n5\n6\n7\neight");
  CHECK(scratch.sh("git show " + info.head + ":new", "work") == "new");
  const std::string format = "git log -1 --format='%an %ae %at %cn %ce %ct %B' ";
  CHECK(scratch.sh(format + info.head + "~1", "work") == scratch.sh(format + one, "work"));
  CHECK(scratch.sh(format + info.head, "work") == scratch.sh(format + two, "work"));
  CHECK(scratch.sh("git rev-parse HEAD", "work") == other);
  CHECK(scratch.sh("git fsck --strict --no-dangling", "work").empty());
}

TEST_CASE("replay: conflicts are named and nothing comes of it") {
  const Branches branches;
  const std::string head = branches.commit("a", "mine\n", "mine");
  branches.go(branches.base);
  const std::string other = branches.commit("a", "theirs\n", "theirs");
  const ReplayInfo info = branches.must(head, other);
  CHECK(info.head.empty());
  CHECK(info.conflicts == std::vector<std::string>{"a"});
  CHECK(info.reason == "commit " + head + " does not apply on top of " + other);
}

TEST_CASE("replay: a change that is there already is dropped, an empty commit is kept") {
  const Branches branches;
  const std::string one = branches.commit("b", "same\n", "one");
  const std::string empty = branches.scratch.commit("work", "empty on purpose");
  branches.go(branches.base);
  const std::string other = branches.commit("b", "same\n", "the same elsewhere");
  CHECK(branches.must(one, other).head == other);
  const std::string head = branches.must(empty, other).head;
  CHECK(branches.scratch.sh("git log --format=%s " + branches.base + ".." + head, "work") ==
        "empty on purpose\nthe same elsewhere");
}

TEST_CASE("replay: a merge in the line is a reason not to") {
  const Branches branches;
  static_cast<void>(branches.commit("x", "x\n", "x"));
  branches.scratch.sh("git checkout -q -b side " + branches.base, "work");
  static_cast<void>(branches.commit("y", "y\n", "y"));
  branches.scratch.sh("git merge -q --no-edit main", "work");
  const std::string merge = branches.scratch.sh("git rev-parse HEAD", "work");
  branches.go(branches.base);
  const ReplayInfo info = branches.must(merge, branches.commit("b", "o\n", "other"));
  CHECK(info.head.empty());
  CHECK(info.conflicts.empty());
  CHECK(info.reason == "commit " + merge + " is a merge, which cannot be replayed");
}

TEST_CASE("replay: a head that does not descend from the base, and ids that are none, are errors") {
  const Branches branches;
  branches.scratch.sh("git checkout -q --orphan lonely", "work");
  const std::string lonely = branches.commit("a", "other root\n", "root");
  const auto unrelated = branches.replay(lonely, branches.base);
  REQUIRE_FALSE(unrelated.has_value());
  CHECK(unrelated.error().code == ErrorCode::invalid_input);
  CHECK_FALSE(branches.replay("HEAD", branches.base).has_value());
  const auto unknown = branches.replay(branches.base, std::string(40, 'a'));
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().code == ErrorCode::not_found);
}

}  // namespace
}  // namespace flow_runner
