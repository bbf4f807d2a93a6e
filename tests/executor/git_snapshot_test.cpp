#include "executor/git_snapshot.hpp"

#include <ctime>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/git_checkout.hpp"
#include "executor/git_handles.hpp"
#include "tests/executor/git_scratch.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;
using test::GitScratch;

const GitLibrary library;

/// A work tree with a bit of everything.
void write_sample(const GitScratch& scratch) {
  scratch.make_repository("work");
  scratch.write("work/README", "hello\n");
  scratch.write("work/empty", "");
  scratch.write("work/bin/tool", "#!/bin/sh\n");
  scratch.write("work/src/deep/er/file.c", "int x;\r\n");
  scratch.write("work/src.c", "sorts before src/\n");
  scratch.write("work/src-x", "sorts between\n");
  scratch.write("work/.gitattributes", "*.c text eol=lf ident\n# filter=lfs only in a comment\n");
  scratch.write("work/odd \xFF\n name", "x");
  scratch.sh(
      "chmod +x bin/tool; ln -s ../README bin/link; ln -s /etc/passwd absolute; ln -s nowhere "
      "dangling",
      "work");
}

Result<SnapshotInfo> snapshot(const GitScratch& scratch, const std::string& commit,
                              const std::string& name, const std::string& base = {}) {
  return make_snapshot({.mirror = scratch.path() / "work/.git",
                        .commit = commit,
                        .directory = scratch.path() / name,
                        .base = base.empty() ? fs::path() : scratch.path() / base});
}

SnapshotInfo must(const Result<SnapshotInfo>& info) {
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  return *info;
}

/// Gives a checkout the rest of a `.git`, detached at the commit.
void complete_git(const GitScratch& scratch, const std::string& tree, const std::string& commit) {
  scratch.write(tree + "/.git/HEAD", commit + "\n");
  scratch.write(
      tree + "/.git/config",
      "[core]\n\trepositoryformatversion = 0\n\tcheckStat = minimal\n\ttrustctime = false\n");
  scratch.sh("mkdir -p .git/refs .git/objects/info && echo '" +
                 (scratch.path() / "work/.git/objects").string() +
                 "' > .git/objects/info/alternates",
             tree);
}

std::string overlay(const GitScratch& scratch, const std::string& delta, const std::string& base,
                    const std::string& command) {
  return scratch.sh(
      "rm -rf upper && mkdir -p merged upper/files upper/work && unshare -m sh -c 'mount -t "
      "overlay overlay "
      "-o upperdir=upper/files,workdir=upper/work,lowerdir=" +
      delta + "/tree:" + base + "/tree merged && cd merged && " + command + "'");
}

const std::string listing_command =
    "{ find . -name .git -prune -o -printf \"%y %m %P %l\\n\" | LC_ALL=C sort; "
    "find . -name .git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha1sum; }";

bool can_mount() {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: overlay mounts need root");
  return false;
}

TEST_CASE("snapshot: the checkout is what git checks out, without conversion") {
  const GitScratch scratch;
  write_sample(scratch);
  const std::string commit = scratch.commit("work", "all");
  // A clone without attributes, for our checkout does not convert.
  scratch.sh(
      "git clone -q --no-checkout work plain && cd plain && mkdir -p .git/info && "
      "echo '* -text -ident -filter' > .git/info/attributes && git checkout -q");
  const SnapshotInfo info = must(snapshot(scratch, commit, "snap"));
  CHECK(scratch.listing("snap/tree") == scratch.listing("plain"));
  CHECK(info.commit == commit);
  CHECK(info.base_commit.empty());
  CHECK(info.files == 11);
  CHECK_FALSE(info.lfs);
  CHECK(info.submodules.empty());
  CHECK(scratch.sh("find snap/tree/.git") == "snap/tree/.git\nsnap/tree/.git/index");
  const auto written =
      from_json<SnapshotInfo>(nlohmann::json::parse(scratch.read("snap/snapshot.json")));
  REQUIRE(written.has_value());
  CHECK(written->bytes == info.bytes);
  CHECK(scratch.sh("ls -d snap*") == "snap");
}

TEST_CASE("snapshot: git finds the work tree clean and rehashes nothing") {
  const GitScratch scratch;
  write_sample(scratch);
  const std::string commit = scratch.commit("work", "all");
  must(snapshot(scratch, commit, "snap"));
  complete_git(scratch, "snap/tree", commit);
  CHECK(scratch.sh("git fsck --no-dangling && git status --porcelain", "snap/tree").empty());
  CHECK(scratch.sh("git ls-files -s", "snap/tree") == scratch.sh("git ls-files -s", "work"));
  CHECK(scratch.sh("git write-tree", "snap/tree") ==
        scratch.sh("git rev-parse HEAD^{tree}", "work"));
  // Another content of the same size and time: only one that reads the file can tell.
  scratch.sh(
      "touch -r README stamp && printf 'HELLO\\n' > README && touch -r stamp README && rm stamp",
      "snap/tree");
  CHECK(scratch.sh("git status --porcelain", "snap/tree").empty());
  scratch.sh("touch README", "snap/tree");
  CHECK(scratch.sh("git status --porcelain", "snap/tree") == " M README");
}

TEST_CASE("snapshot: a commit from the future does not make the index racy") {
  const GitScratch scratch;
  scratch.make_repository("work");
  scratch.write("work/a", "1");
  const std::string commit = scratch.commit("work", "late", 4'000'000'000);
  must(snapshot(scratch, commit, "snap"));
  struct stat file {};
  REQUIRE(::stat((scratch.path() / "snap/tree/a").c_str(), &file) == 0);
  CHECK(file.st_mtime < std::time(nullptr));
}

TEST_CASE("snapshot: the caller's umask does not show") {
  const GitScratch scratch;
  write_sample(scratch);
  const std::string commit = scratch.commit("work", "all");
  const mode_t before = ::umask(077);
  const auto info = snapshot(scratch, commit, "snap");
  CHECK(::umask(before) == 077);
  must(info);
  CHECK(scratch.sh("stat -c %a snap/tree snap/tree/bin snap/tree/bin/tool snap/tree/README") ==
        "755\n755\n755\n644");
}

TEST_CASE("snapshot: many files are written by several threads") {
  const GitScratch scratch;
  scratch.make_repository("work");
  for (int i = 0; i < 1500; ++i) {
    scratch.write("work/d" + std::to_string(i % 7) + "/f" + std::to_string(i), std::to_string(i));
  }
  const std::string commit = scratch.commit("work", "many");
  std::uint64_t last_total = 0;
  const auto info = make_snapshot(
      {.mirror = scratch.path() / "work/.git",
       .commit = commit,
       .directory = scratch.path() / "snap",
       .base = {}},
      [&](std::string_view, std::uint64_t, std::uint64_t total) { last_total = total; });
  CHECK(must(info).files == 1500);
  CHECK(last_total == 1500);
  CHECK(scratch.listing("snap/tree") == scratch.listing("work"));
}

TEST_CASE("snapshot: submodules stay empty and LFS is noticed") {
  const GitScratch scratch;
  scratch.make_repository("work");
  scratch.write("work/sub/.gitattributes", "*.bin filter=lfs diff=lfs\n");
  scratch.write("work/a", "1");
  const std::string inner = scratch.commit("work", "first");
  scratch.sh("git update-index --add --cacheinfo 160000," + inner +
                 ",libs/module && git commit -qm module",
             "work");
  const std::string commit = scratch.sh("git rev-parse HEAD", "work");
  const SnapshotInfo info = must(snapshot(scratch, commit, "snap"));
  CHECK(info.submodules == std::vector<std::string>{"libs/module"});
  CHECK(info.lfs);
  CHECK(info.files == 2);
  CHECK(fs::is_empty(scratch.path() / "snap/tree/libs/module"));
  complete_git(scratch, "snap/tree", commit);
  CHECK(scratch.sh("git status --porcelain", "snap/tree").empty());
}

TEST_CASE("snapshot: trees that would write elsewhere are refused and leave nothing") {
  const GitScratch scratch;
  scratch.make_repository("work");
  fs::create_directories(scratch.path() / "outside");
  const std::string blob = scratch.write_object("work", "blob", "evil\n");
  const std::string link =
      scratch.write_object("work", "blob", (scratch.path() / "outside").string());
  const std::string file_tree =
      scratch.write_object("work", "tree", GitScratch::tree_entry("100644", "x", blob));
  const auto refused = [&](const std::string& tree) {
    const auto info = snapshot(
        scratch, scratch.commit_tree("work", scratch.write_object("work", "tree", tree)), "snap");
    REQUIRE_FALSE(info.has_value());
    CHECK(info.error().code == ErrorCode::invalid_input);
    CHECK(fs::is_empty(scratch.path() / "outside"));
    CHECK(scratch.sh("ls -d snap* 2>/dev/null || true").empty());
    return info.error().message;
  };
  const auto entry = GitScratch::tree_entry;
  CHECK(refused(entry("40000", ".git", file_tree)) ==
        "the entry .git in the top folder would be taken for git's own folder");
  CHECK(refused(entry("40000", ".GiT", file_tree)).find(".GiT") != std::string::npos);
  CHECK(refused(entry("40000", "..", file_tree)).find("points out") != std::string::npos);
  CHECK(refused(entry("100644", "../outside/x", blob)).find("slash") != std::string::npos);
  CHECK(refused(entry("100644", "/x", blob)).find("slash") != std::string::npos);
  const std::string nested = scratch.write_object("work", "tree", entry("100644", "git~1", blob));
  CHECK(refused(entry("40000", "deep", nested)).find("git~1 in deep") != std::string::npos);
  // A link and a folder of one name: files of the folder must not follow the link.
  CHECK(refused(entry("120000", "a", link) + entry("40000", "a", file_tree))
            .find("two entries named a") != std::string::npos);
  CHECK(refused(entry("100644", "a", blob) + entry("100644", "a", blob)).find("a") !=
        std::string::npos);
  CHECK(refused(entry("100644", "b", blob) + entry("100644", "a", blob)).find("not sorted") !=
        std::string::npos);
  CHECK(refused(entry("120000", "l", scratch.write_object("work", "blob", "")))
            .find("no valid target") != std::string::npos);
  CHECK(refused(entry("100644", "f", file_tree)).find("no blob") != std::string::npos);
}

TEST_CASE("snapshot: a tree that multiplies itself is refused before it is written") {
  const GitScratch scratch;
  scratch.make_repository("work");
  std::string mode = "100644";
  std::string id = scratch.write_object("work", "blob", "x");
  for (int level = 0; level < 8; ++level) {
    std::string tree;
    for (char name = 'a'; name <= 'j'; ++name)
      tree += GitScratch::tree_entry(mode, std::string(1, name), id);
    id = scratch.write_object("work", "tree", tree);
    mode = "40000";
  }
  const auto info = snapshot(scratch, scratch.commit_tree("work", id), "snap");
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().message == "the commit has more than 2000000 files and folders");
}

TEST_CASE("snapshot: a path may be as long as the kernel takes, and no longer") {
  const GitScratch scratch;
  scratch.make_repository("work");
  std::string tree = scratch.write_object(
      "work", "tree",
      GitScratch::tree_entry("100644", "f", scratch.write_object("work", "blob", "x")));
  for (int level = 0; level < 16; ++level) {
    tree = scratch.write_object("work", "tree",
                                GitScratch::tree_entry("40000", std::string(255, 'd'), tree));
  }
  const auto info = snapshot(scratch, scratch.commit_tree("work", tree), "snap");
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().message == "the commit has a path of more than 4095 bytes");
}

TEST_CASE("snapshot: what is there already is not touched") {
  const GitScratch scratch;
  write_sample(scratch);
  const std::string commit = scratch.commit("work", "all");
  scratch.write("snap/mine", "keep");
  const auto info = snapshot(scratch, commit, "snap");
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().code == ErrorCode::invalid_input);
  CHECK(scratch.sh("find snap -type f") == "snap/mine");
  const auto unknown = snapshot(scratch, std::string(40, '1'), "other");
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().code == ErrorCode::not_found);
  CHECK_FALSE(snapshot(scratch, "main", "other").has_value());
}

/// Changes the sample in each way that matters to a layer.
const std::string every_change =
    "echo more >> README && rm empty && chmod -x bin/tool && ln -sfn elsewhere dangling && "
    "git rm -qr src && echo now a file > src && "               // folder to file
    "git rm -q src-x && mkdir src-x && echo 1 > src-x/in && "   // file to folder
    "rm absolute && mkdir absolute && echo 1 > absolute/a && "  // link to folder
    "mkdir -p new/folder && echo 1 > new/folder/f && rm -r gone && rm half/one && "
    "rm swap/a && mkdir swap/a && echo 2 > swap/a/b && rm -r swap/b && echo 2 > swap/b";

TEST_CASE("delta: on its base it is the new commit's checkout, with a valid index") {
  if (!can_mount()) return;
  const GitScratch scratch;
  write_sample(scratch);
  for (const char* file :
       {"gone/a", "gone/deep/b", "half/one", "half/two", "swap/a", "swap/b/a", "keep/x/y"}) {
    scratch.write(fs::path("work") / file, file);
  }
  for (int i = 0; i < 150; ++i) scratch.write("work/bulk/f" + std::to_string(i), "bulk");
  const std::string base = scratch.commit("work", "base");
  must(snapshot(scratch, base, "base"));
  scratch.sh(every_change, "work");
  const std::string next = scratch.commit("work", "next", 1'700'000'100);
  const SnapshotInfo delta = must(snapshot(scratch, next, "delta", "base"));
  CHECK(delta.base_commit == base);
  must(snapshot(scratch, next, "full"));

  CHECK(overlay(scratch, "delta", "base", listing_command) == scratch.listing("full/tree"));
  CHECK_FALSE(fs::exists(scratch.path() / "delta/tree/bulk"));
  complete_git(scratch, "delta/tree", next);
  CHECK(overlay(scratch, "delta", "base", "git status --porcelain").empty());
  CHECK(overlay(scratch, "delta", "base", "git write-tree") ==
        scratch.sh("git rev-parse HEAD^{tree}", "work"));
  // A full and a delta snapshot have the same index but for times and sizes.
  complete_git(scratch, "full/tree", next);
  CHECK(overlay(scratch, "delta", "base", "git ls-files -s") ==
        scratch.sh("git ls-files -s", "full/tree"));
  CHECK(overlay(scratch, "delta", "base", "git fsck --no-dangling --cache").empty());
}

TEST_CASE("delta: random changes give the full checkout") {
  if (!can_mount()) return;
  const GitScratch scratch;
  scratch.make_repository("work");
  unsigned state = 12345;
  const auto random = [&](unsigned below) {
    state = state * 1103515245 + 12345;
    return (state >> 16) % below;
  };
  const auto name = [&] {
    std::string path = "work";
    for (unsigned depth = random(3) + 1; depth > 0; --depth)
      path += '/' + std::string(1, static_cast<char>('a' + random(4)));
    return path;
  };
  for (int i = 0; i < 200; ++i) scratch.write("work/bulk/" + std::to_string(i), "x");
  for (int round = 0; round < 4; ++round) {
    const auto mutate = [&] {
      for (int i = 0; i < 12; ++i) {
        const fs::path path = name();
        std::error_code ignored;
        // Whatever is on the way, of whatever kind, makes room.
        for (fs::path above = path.parent_path(); above != "work"; above = above.parent_path()) {
          if (!fs::is_directory(fs::symlink_status(scratch.path() / above, ignored)))
            fs::remove(scratch.path() / above, ignored);
        }
        fs::remove_all(scratch.path() / path, ignored);
        if (random(4) == 0) continue;
        if (random(5) == 0) {
          fs::create_directories((scratch.path() / path).parent_path());
          fs::create_symlink("target" + std::to_string(random(9)), scratch.path() / path);
        } else {
          scratch.write(path, std::to_string(random(1000)));
        }
      }
    };
    mutate();
    const std::string base = scratch.commit("work", "base");
    mutate();
    const std::string next = scratch.commit("work", "next");
    const std::string suffix = std::to_string(round);
    must(snapshot(scratch, base, "base" + suffix));
    CHECK(must(snapshot(scratch, next, "delta" + suffix, "base" + suffix)).base_commit == base);
    must(snapshot(scratch, next, "full" + suffix));
    INFO("round ", round);
    CHECK(overlay(scratch, "delta" + suffix, "base" + suffix, listing_command) ==
          scratch.listing("full" + suffix + "/tree"));
    complete_git(scratch, "delta" + suffix + "/tree", next);
    CHECK(overlay(scratch, "delta" + suffix, "base" + suffix, "git status --porcelain").empty());
    CHECK(overlay(scratch, "delta" + suffix, "base" + suffix, "git write-tree") ==
          scratch.sh("git rev-parse HEAD^{tree}", "work"));
  }
}

TEST_CASE("delta: submodules come, move and go") {
  if (!can_mount()) return;
  const GitScratch scratch;
  scratch.make_repository("work");
  for (int i = 0; i < 60; ++i) scratch.write("work/bulk/f" + std::to_string(i), "bulk");
  scratch.write("work/folder/a", "1");
  scratch.write("work/file", "1");
  const std::string id = scratch.commit("work", "first");
  const auto gitlink = [&](const std::string& path, const std::string& commit) {
    scratch.sh("git update-index --add --cacheinfo 160000," + commit + "," + path, "work");
  };
  const auto commit = [&] { return scratch.sh("git commit -qm x && git rev-parse HEAD", "work"); };
  gitlink("moves", id);
  gitlink("goes", id);
  gitlink("fills", id);
  const std::string base = commit();
  must(snapshot(scratch, base, "base"));
  scratch.sh("git rm -qr --cached folder file goes fills", "work");
  gitlink("folder", id);
  gitlink("file", id);
  gitlink("moves", base);
  scratch.sh("git update-index --add --cacheinfo 100644," +
                 scratch.sh("git hash-object -w bulk/f1", "work") + ",fills/in",
             "work");
  const std::string next = commit();
  const SnapshotInfo info = must(snapshot(scratch, next, "delta", "base"));
  CHECK(info.base_commit == base);
  CHECK(info.submodules == std::vector<std::string>{"file", "folder", "moves"});
  must(snapshot(scratch, next, "full"));
  CHECK(overlay(scratch, "delta", "base", listing_command) == scratch.listing("full/tree"));
  complete_git(scratch, "delta/tree", next);
  CHECK(overlay(scratch, "delta", "base", "git status --porcelain").empty());
}

TEST_CASE("delta: whether LFS is used follows the attributes of the new commit") {
  const GitScratch scratch;
  scratch.make_repository("work");
  for (int i = 0; i < 60; ++i) scratch.write("work/bulk/f" + std::to_string(i), "bulk");
  scratch.write("work/sub/.gitattributes", "*.bin filter=lfs\n");
  scratch.write("work/.gitattributes", "*.bin filter=lfs\n");
  must(snapshot(scratch, scratch.commit("work", "base"), "base"));
  scratch.write("work/.gitattributes", "");
  CHECK(must(snapshot(scratch, scratch.commit("work", "one"), "one", "base")).lfs);
  scratch.sh("rm -r sub", "work");
  const SnapshotInfo none = must(snapshot(scratch, scratch.commit("work", "none"), "none", "base"));
  CHECK_FALSE(none.lfs);
  CHECK_FALSE(none.base_commit.empty());
}

TEST_CASE("delta: a change that is too big, or a base that is none, gives a full snapshot") {
  const GitScratch scratch;
  scratch.make_repository("work");
  for (int i = 0; i < 40; ++i) scratch.write("work/f" + std::to_string(i), "a");
  const std::string base = scratch.commit("work", "base");
  must(snapshot(scratch, base, "base"));
  for (int i = 0; i < 10; ++i) scratch.write("work/f" + std::to_string(i), "b");
  const std::string quarter = scratch.commit("work", "a quarter");
  CHECK(must(snapshot(scratch, quarter, "quarter", "base")).base_commit == base);
  scratch.write("work/f10", "b");
  const std::string more = scratch.commit("work", "more");
  CHECK(must(snapshot(scratch, more, "more", "base")).base_commit.empty());
  CHECK(must(snapshot(scratch, more, "on-delta", "quarter")).base_commit.empty());
  CHECK(must(snapshot(scratch, more, "on-nothing", "not-there")).base_commit.empty());
  scratch.sh("printf x >> base/tree/.git/index");
  CHECK(must(snapshot(scratch, quarter, "on-broken", "base")).base_commit.empty());
  scratch.sh("git checkout -q " + quarter, "work");
  CHECK(scratch.listing("on-broken/tree") == scratch.listing("work"));
}

TEST_CASE("delta: names are checked there too") {
  const GitScratch scratch;
  scratch.make_repository("work");
  for (int i = 0; i < 20; ++i) scratch.write("work/f" + std::to_string(i), "a");
  const std::string base = scratch.commit("work", "base");
  must(snapshot(scratch, base, "base"));
  const std::string blob = scratch.write_object("work", "blob", "evil");
  std::string tree = GitScratch::tree_entry("100644", ".git", blob);
  const std::string same = scratch.sh("git rev-parse HEAD:f0", "work");
  for (int i = 0; i < 20; ++i) {
    if (i % 10 == i) tree += GitScratch::tree_entry("100644", "f" + std::to_string(i), same);
  }
  const auto info =
      snapshot(scratch, scratch.commit_tree("work", scratch.write_object("work", "tree", tree)),
               "delta", "base");
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error().message.find("git's own folder") != std::string::npos);
}

}  // namespace
}  // namespace flow_runner
