#include "executor/git_apply.hpp"

#include <doctest/doctest.h>

#include "executor/git_handles.hpp"
#include "tests/executor/git_scratch.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;
using test::GitScratch;

const GitLibrary library;

/// A repository with the job's two commits, and the user's folder `local` at the first one.
struct Job {
  GitScratch scratch;
  std::string before;
  std::string after;

  explicit Job(const std::string& change) {
    scratch.make_repository("work");
    scratch.write("work/text", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    scratch.write("work/binary", std::string("a\0b", 3));
    scratch.write("work/folder/a", "a\n");
    scratch.write("work/folder/sub/b", "b\n");
    scratch.write("work/file", "f\n");
    scratch.sh("ln -s text link", "work");
    before = scratch.commit("work", "before");
    scratch.sh("git clone -q work local");
    scratch.sh(change, "work");
    after = scratch.commit("work", "after");
  }
  [[nodiscard]] Result<ApplyInfo> apply(bool dry_run = false) const {
    return apply_changes({.repository = scratch.path() / "work/.git",
                          .old_commit = before,
                          .new_commit = after,
                          .work_tree = scratch.path() / "local",
                          .dry_run = dry_run});
  }
  [[nodiscard]] ApplyInfo must(bool dry_run = false) const {
    auto info = apply(dry_run);
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    return *info;
  }
  /// All of the folder, its `.git` included.
  [[nodiscard]] std::string state() const {
    return scratch.listing("local") +
           scratch.sh("find .git -type f | sort | xargs sha1sum", "local");
  }
  /// Expects these conflicts and that nothing was touched.
  void refuses(const std::vector<std::string>& conflicts) const {
    const std::string before_it = state();
    CHECK(must().conflicts == conflicts);
    CHECK(state() == before_it);
  }
};

const std::string every_change =
    "sed -i 's/^2$/two/' text && printf 'x\\0y' > binary && chmod +x file && rm -r folder && echo "
    "f > folder && "
    "ln -sfn file link && mkdir -p new/deep && echo n > new/deep/file && printf '#!/bin/sh\\n' > "
    "run && chmod +x run";

TEST_CASE("apply: an untouched folder becomes what the job left") {
  const Job job(every_change);
  const std::string git_before =
      job.scratch.sh("find .git -type f | sort | xargs sha1sum", "local");
  const ApplyInfo info = job.must();
  CHECK(info.conflicts.empty());
  CHECK(info.changes.size() == 9);
  CHECK(job.scratch.listing("local") == job.scratch.listing("work"));
  CHECK(job.scratch.sh("find .git -type f | sort | xargs sha1sum", "local") == git_before);
  CHECK(job.scratch.sh("ls -A local | grep flow-runner || true").empty());
}

TEST_CASE("apply: a second time there is nothing to do") {
  const Job job(every_change);
  static_cast<void>(job.must());
  const std::string state = job.state();
  CHECK(job.must().conflicts.empty());
  CHECK(job.state() == state);
}

TEST_CASE("apply: a dry run touches nothing") {
  const Job job(every_change);
  const std::string state = job.state();
  CHECK(job.must(true).changes.size() == 9);
  CHECK(job.state() == state);
}

TEST_CASE("apply: a folder makes room for a file and a file for a folder") {
  const Job job("rm file && mkdir file && echo 1 > file/in && rm -r folder && ln -s text folder");
  CHECK(job.must().conflicts.empty());
  CHECK(job.scratch.listing("local") == job.scratch.listing("work"));
}

TEST_CASE("apply: what the user changed elsewhere in a file is kept") {
  const Job job("sed -i 's/^2$/two/' text");
  job.scratch.sh("sed -i 's/^8$/eight/' text && chmod 600 text", "local");
  CHECK(job.must().conflicts.empty());
  CHECK(job.scratch.sh("cat text", "local") == "1\ntwo\n3\n4\n5\n6\n7\neight\n9");
  CHECK(job.scratch.sh("stat -c %a text", "local") == "600");
}

TEST_CASE("apply: the user's other files are not looked at") {
  const Job job("sed -i 's/^2$/two/' text");
  job.scratch.sh("rm file && echo mine > mine && echo other > folder/a", "local");
  CHECK(job.must().conflicts.empty());
  CHECK(job.scratch.sh("git status --porcelain | tr ' ' '_'", "local") ==
        "_D_file\n_M_folder/a\n_M_text\n??_mine");
}

TEST_CASE("apply: one conflict, and no file is touched") {
  const Job job("sed -i 's/^2$/two/' text && printf 'x\\0y' > binary && echo new > new && rm file");
  SUBCASE("overlapping lines") {
    job.scratch.sh("sed -i 's/^2$/zwei/' text", "local");
    job.refuses({"text"});
  }
  SUBCASE("a changed binary file") {
    job.scratch.write("local/binary", std::string("q\0q", 3));
    job.refuses({"binary"});
  }
  SUBCASE("a file in the way of a new one") {
    job.scratch.write("local/new", "mine\n");
    job.refuses({"new"});
  }
  SUBCASE("a folder in the way of a new file") {
    job.scratch.write("local/new/mine", "mine\n");
    job.refuses({"new"});
  }
  SUBCASE("a pipe in the way") {
    job.scratch.sh("mkfifo new", "local");
    job.refuses({"new"});
  }
  SUBCASE("a changed file that is to be removed") {
    job.scratch.write("local/file", "mine\n");
    job.refuses({"file"});
  }
  SUBCASE("a file that is gone") {
    job.scratch.sh("rm text", "local");
    job.refuses({"text"});
  }
  SUBCASE("several") {
    job.scratch.sh("rm text && echo mine > new", "local");
    job.refuses({"new", "text"});
  }
}

TEST_CASE("apply: untracked files in a folder that is to go are not lost") {
  const Job job("rm -r folder && echo f > folder");
  job.scratch.write("local/folder/mine", "mine\n");
  job.refuses({"folder"});
}

TEST_CASE("apply: a mode that changed is applied to a file with the right content") {
  const Job job("chmod +x file");
  CHECK(job.must().conflicts.empty());
  CHECK(job.scratch.sh("stat -c %a file", "local") == "755");
}

TEST_CASE("apply: nothing is written through a symbolic link") {
  const Job job("mkdir -p new/deep && echo evil > new/deep/file && echo evil > folder/a");
  fs::create_directories(job.scratch.path() / "outside/deep");
  job.scratch.write("outside/a", "a\n");
  job.scratch.sh("ln -s ../outside new && rm -r folder && ln -s ../outside folder", "local");
  job.refuses({"folder/a", "new/deep/file"});
  CHECK(job.scratch.read("outside/a") == "a\n");
  CHECK(fs::is_empty(job.scratch.path() / "outside/deep"));
}

TEST_CASE("apply: git's own folder and paths that lead out are refused") {
  Job job("true");
  const std::string blob = job.scratch.write_object("work", "blob", "evil");
  for (const char* name : {".git", ".GIT", "..", "git~1"}) {
    const std::string inner =
        job.scratch.write_object("work", "tree", GitScratch::tree_entry("100644", "evil", blob));
    job.after = job.scratch.commit_tree(
        "work",
        job.scratch.write_object("work", "tree", GitScratch::tree_entry("40000", name, inner)));
    const std::string state = job.state();
    const auto info = job.apply();
    REQUIRE_FALSE(info.has_value());
    CHECK(info.error().code == ErrorCode::invalid_input);
    CHECK(job.state() == state);
  }
  CHECK_FALSE(fs::exists(job.scratch.path() / "evil"));
}

}  // namespace
}  // namespace flow_runner
