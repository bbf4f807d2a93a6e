#include "executor/git_capture.hpp"

#include <cstdlib>
#include <doctest/doctest.h>

#include "executor/git_handles.hpp"
#include "tests/executor/git_scratch.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;
using test::GitScratch;

GitLibrary library;

/// A repository with one commit, and a mirror of it.
struct Source {
  GitScratch scratch;
  std::string head;

  Source() {
    scratch.make_repository("work");
    scratch.write("work/kept", "kept\n");
    scratch.write("work/edited", "old\n");
    scratch.write("work/removed", "gone soon\n");
    scratch.write("work/folder/inner", "1\n");
    scratch.write("work/plain", "file\n");
    scratch.write("work/.gitignore", "*.log\nsecret/\n");
    head = scratch.commit("work", "first");
    mirror();
  }
  void mirror() const { scratch.sh("rm -rf mirror && git clone -q --mirror work mirror"); }

  [[nodiscard]] Result<CaptureInfo> capture(bool include_untracked = true) const {
    return capture_work_tree({.mirror = scratch.path() / "mirror",
                              .repository = scratch.path() / "work",
                              .include_untracked = include_untracked});
  }
  [[nodiscard]] CaptureInfo must(bool include_untracked = true) const {
    auto info = capture(include_untracked);
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    return *info;
  }
  /// What a commit of the mirror changed: `git diff-tree` with status and path.
  [[nodiscard]] std::string changed(const CaptureInfo& info) const {
    return scratch.sh("git diff-tree -r --no-renames --name-status " + info.head + " " +
                          info.commit + " | tr '\\t\\n' ' ,'",
                      "mirror");
  }
};

TEST_CASE("capture: a clean work tree is its own commit") {
  const Source source;
  source.scratch.write("work/x.log", "ignored");
  source.scratch.sh("touch kept", "work");
  const CaptureInfo info = source.must();
  CHECK(info.head == source.head);
  CHECK(info.commit == source.head);
  CHECK(info.dirty_count == 0);
  CHECK(info.dirty_paths.empty());
}

TEST_CASE("capture: tracked, staged and untracked changes are in, ignored files are not") {
  const Source source;
  source.scratch.write("work/edited", "new\n");
  source.scratch.write("work/untracked/deep/file", "u\n");
  source.scratch.write("work/odd \xFF name", "o\n");
  source.scratch.write("work/staged", "staged\n");
  source.scratch.write("work/x.log", "ignored\n");
  source.scratch.write("work/secret/key", "ignored\n");
  source.scratch.sh(
      "rm removed && git add staged && echo after >> staged && chmod +x kept && ln -s kept link",
      "work");
  const CaptureInfo info = source.must();
  CHECK(info.head == source.head);
  CHECK(info.commit != source.head);
  CHECK(source.changed(info) ==
        "M edited,M kept,A link,A \"odd \\377 name\",D removed,A staged,A untracked/deep/file,");
  CHECK(info.dirty_count == 7);
  CHECK(info.dirty_paths.size() == 7);
  CHECK(source.scratch.sh("git show " + info.commit + ":staged", "mirror") == "staged\nafter");
  CHECK(source.scratch.sh("git ls-tree " + info.commit + " kept link | cut -c1-6 | tr '\\n' ' '",
                          "mirror") == "100755 120000 ");
  CHECK(source.scratch.sh("git rev-parse " + info.commit + "^", "mirror") == source.head);
  CHECK(source.scratch.sh("git fsck --strict --no-dangling", "mirror").empty());
}

TEST_CASE("capture: without untracked files only what git knows is in") {
  const Source source;
  source.scratch.write("work/edited", "new\n");
  source.scratch.write("work/untracked", "u\n");
  source.scratch.write("work/staged", "s\n");
  source.scratch.sh("git add staged", "work");
  CHECK(source.changed(source.must(false)) == "M edited,A staged,");
}

TEST_CASE("capture: a file that was staged for removal counts as it lies there") {
  const Source source;
  source.scratch.sh("git rm -q --cached edited plain && echo plain >> .gitignore", "work");
  CHECK(source.changed(source.must()) == "M .gitignore,D plain,");
  CHECK(source.changed(source.must(false)) == "M .gitignore,D edited,D plain,");
}

TEST_CASE("capture: folders and files may change places") {
  const Source source;
  source.scratch.sh(
      "rm -r folder && echo 1 > folder && rm plain && mkdir plain && echo 1 > plain/in", "work");
  CHECK(source.changed(source.must()) == "A folder,D folder/inner,D plain,A plain/in,");
}

TEST_CASE("capture: the same content gives the same commit, and the source is not written to") {
  const Source source;
  source.scratch.write("work/edited", "new\n");
  const std::string before =
      source.scratch.sh("find .git -type f | sort | xargs sha1sum; stat -c %y .git/index", "work");
  const CaptureInfo first = source.must();
  source.scratch.sh("touch edited", "work");
  CHECK(source.must().commit == first.commit);
  CHECK(source.scratch.sh("find .git -type f | sort | xargs sha1sum; stat -c %y .git/index",
                          "work") == before);
  CHECK(
      source.scratch.sh("git log -1 --format='%an <%ae> %at %cn %ct' " + first.commit, "mirror") ==
      "flow-runner <flow-runner@localhost> 1700000000 flow-runner 1700000000");
}

TEST_CASE("capture: pipes and sockets are left out and hang nothing") {
  const Source source;
  source.scratch.sh("mkfifo pipe && rm edited && mkfifo edited", "work");
  CHECK(source.changed(source.must()) == "D edited,");
}

TEST_CASE("capture: nested repositories and submodules stay as they are") {
  const Source source;
  source.scratch.sh("git update-index --add --cacheinfo 160000," + source.head +
                        ",module && git commit -qm module",
                    "work");
  source.mirror();
  source.scratch.make_repository("work/nested");
  source.scratch.write("work/nested/f", "1");
  source.scratch.commit("work/nested", "inner");
  source.scratch.write("work/module/f", "1");
  source.scratch.write("work/edited", "new\n");
  CHECK(source.changed(source.must()) == "M edited,");
}

TEST_CASE("capture: nothing that the repository configures is run") {
  const Source source;
  const std::string marker = (source.scratch.path() / "marker").string();
  const std::string run = "sh -c \"touch " + marker + "; cat\"";
  source.scratch.sh(
      "git config filter.evil.clean '" + run + "' && git config core.fsmonitor '" + run +
          "' && "
          "git config core.hooksPath hooks && mkdir hooks && printf '#!/bin/sh\\ntouch " +
          marker +
          "\\n' > hooks/post-commit && chmod +x hooks/post-commit && echo '* filter=evil' > "
          ".gitattributes && "
          "echo new > edited",
      "work");
  CHECK(source.changed(source.must()).find("M edited,") != std::string::npos);
  CHECK_FALSE(fs::exists(marker));
}

TEST_CASE("capture: what the user's own excludes name stays out") {
  const Source source;
  source.scratch.write(".config/git/ignore", "*.swp\n");
  source.scratch.write("work/a.swp", "1");
  const char* home = std::getenv("HOME");
  const std::string before = home != nullptr ? home : "";
  ::setenv("HOME", source.scratch.path().c_str(), 1);
  ::unsetenv("XDG_CONFIG_HOME");
  library.read_user_configuration();
  const CaptureInfo info = source.must();
  ::setenv("HOME", before.c_str(), 1);
  const GitLibrary closed_again;
  CHECK(info.dirty_count == 0);
  CHECK(source.must().dirty_count == 1);
}

TEST_CASE("capture: a mirror without HEAD's objects is enough to ask what is dirty") {
  const Source source;
  source.scratch.sh("git init -q --bare empty");
  source.scratch.write("work/edited", "new\n");
  const auto info = capture_work_tree(
      {.mirror = source.scratch.path() / "empty", .repository = source.scratch.path() / "work"});
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  CHECK(info->dirty_paths == std::vector<std::string>{"edited"});
}

TEST_CASE("capture: what is no repository, or has no commit, is said") {
  const GitScratch scratch;
  scratch.make_repository("work");
  scratch.sh("git init -q --bare mirror");
  const auto unborn = capture_work_tree(
      {.mirror = scratch.path() / "mirror", .repository = scratch.path() / "work"});
  REQUIRE_FALSE(unborn.has_value());
  CHECK(unborn.error() ==
        Error{ErrorCode::not_found, "the repository has no commit yet; make a first one"});
  const auto bare = capture_work_tree(
      {.mirror = scratch.path() / "mirror", .repository = scratch.path() / "mirror"});
  REQUIRE_FALSE(bare.has_value());
  CHECK(bare.error().code == ErrorCode::invalid_input);
  const auto none = capture_work_tree(
      {.mirror = scratch.path() / "mirror", .repository = scratch.path() / "none"});
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().code == ErrorCode::not_found);
}

}  // namespace
}  // namespace flow_runner
