#include <algorithm>
#include <doctest/doctest.h>
#include <filesystem>
#include <string>

#include "executor/git_take_over.hpp"
#include "tests/executor/git_take_over_workspace.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view files = "mkdir src && echo a > a && echo b > src/b";

/// Runs an agent's script: the repository must count as broken for the reason given, and the files
/// must be taken over all the same.
void broken(std::string_view script, std::string_view reason,
            std::uint64_t max_object_bytes = 512ULL << 20) {
  CAPTURE(script);
  TakeOverWorkspace workspace(files);
  workspace.agent(std::string(script) + "\nrm -f bomb; echo taken > taken");
  TakeOverRequest request = workspace.request();
  request.max_object_bytes = max_object_bytes;
  NullContentSink sink;
  const auto changes = workspace.take(sink, request);
  REQUIRE(changes.has_value());
  CHECK_MESSAGE(changes->repository_broken.find(reason) != std::string::npos,
                changes->repository_broken);
  CHECK(TakeOverWorkspace::listing(*changes) == "A taken\n");
  CHECK(changes->agent_commits.empty());
  CHECK(workspace.git("rev-parse " + changes->head + "^") == workspace.base());
  workspace.git("rev-list --objects --quiet " + changes->head);
}

/// A commit on base whose tree is base's with one entry more, made by plumbing.
std::string commit_entry(std::string_view entry) {
  return "blob=$(git rev-parse HEAD:a); { git ls-tree HEAD; printf '" + std::string(entry) +
         "\\n' \"$blob\"; } > ../entries; tree=$(git mktree --missing < ../entries); "
         "git update-ref --no-deref HEAD $(git commit-tree -p HEAD -m evil $tree)";
}

}  // namespace

TEST_CASE("take-over: a .git that is no folder is broken") {
  NEED_OVERLAY();
  broken("rm -rf .git", "was removed");
  broken("rm -rf .git; echo 'gitdir: ../mirror' > .git", "no folder");
  broken("mv .git ../stolen; ln -s ../stolen .git", "no folder");
  broken("rm -rf .git; mkfifo .git", "no folder");
}

TEST_CASE("take-over: HEAD and refs are read as regular files only") {
  NEED_OVERLAY();
  broken("rm .git/HEAD; mkfifo .git/HEAD", "HEAD");
  broken("cp .git/HEAD ../head; ln -sf ../../head .git/HEAD", "HEAD");
  broken("echo junk > .git/HEAD", "HEAD");
  broken("echo 'ref: ../../etc/passwd' > .git/HEAD", "no good ref");
  broken("echo 'ref: refs/heads/x' > .git/HEAD; echo 'ref: refs/heads/x' > .git/refs/heads/x",
         "more than 5");
  broken("head -c 100000 /dev/zero > .git/HEAD", "HEAD");
  broken("printf '%040d\\n' 1 > .git/HEAD", "missing");
}

TEST_CASE("take-over: FIFOs and links in .git are passed over") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "echo 2 > a; git commit -q -am two; rm -f .git/packed-refs .git/config; "
      "mkfifo .git/packed-refs .git/config .git/refs/heads/pipe .git/refs/stash "
      ".git/info/sparse-checkout; ln -s / .git/refs/heads/root; rm -rf .git/objects/info; "
      "ln -s /etc .git/objects/info; mkfifo .git/objects/pack/pack-1.pack; "
      "ln -s /dev/zero .git/objects/pack/pack-2.pack; mkdir .git/objects/pack/pack-3.pack");
  const ChangeSet changes = workspace.take();
  CHECK(changes.repository_broken == "");
  CHECK(changes.agent_commits.size() == 1);
}

TEST_CASE("take-over: an object behind a link, a FIFO or alternates is missing") {
  NEED_OVERLAY();
  const std::string commit =
      "echo 2 > a; git commit -q -am two; echo a > a; "
      "id=$(git rev-parse HEAD:a); f=.git/objects/$(echo $id | cut -c1-2); ";
  broken(commit + "mv $f ../away; ln -s ../../../away $f", "missing");
  broken(commit + "g=$f/$(echo $id | cut -c3-); mv $g ../away; ln -s ../../../../away $g",
         "missing");
  broken(commit + "g=$f/$(echo $id | cut -c3-); rm -f $g; mkfifo $g", "missing");
  broken(
      "git init -q ../other; echo secret > ../other/s; git -C ../other add .; "
      "git -C ../other commit -q -m s; echo $PWD/../other/.git/objects >> "
      ".git/objects/info/alternates; git update-ref --no-deref HEAD "
      "$(git commit-tree -p HEAD -m evil $(git -C ../other rev-parse HEAD:))",
      "missing");
  broken(
      "git init -q ../other; echo secret > ../other/s; git -C ../other add .; "
      "git -C ../other commit -q -m s; git -C ../other gc -q; rm -rf .git/objects/pack; "
      "ln -s ../../../other/.git/objects/pack .git/objects/pack; "
      "git update-ref --no-deref HEAD "
      "$(git commit-tree -p HEAD -m evil $(git -C ../other rev-parse HEAD:))",
      "missing");
}

TEST_CASE(
    "take-over: configuration, hooks, filters, replacements and grafts of the agent do nothing") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "echo evil > ../evil; echo '* filter=x' > .gitattributes; echo 2 > a; git add -A; "
      "git commit -q -m two; git replace HEAD HEAD~1; printf '%s\\n' $(git rev-parse HEAD) > "
      ".git/info/grafts; echo $(git rev-parse HEAD) > .git/shallow; "
      "printf '[include]\\n\\tpath = ../../evil\\n[core]\\n\\tfsmonitor = touch ../ran\\n"
      "\\tworktree = /etc\\n\\thooksPath = ../hooks\\n[filter \"x\"]\\n\\tclean = touch ../ran\\n"
      "[extensions]\\n\\tobjectFormat = sha256\\n[user]\\n\\tname = \"U ; V\" # c\\n"
      "\\temail = u@example.com\\n' > .git/config; echo 3 > a");
  const ChangeSet changes = workspace.take();
  CHECK(changes.repository_broken == "");
  CHECK(changes.agent_commits.size() == 1);
  CHECK(workspace.git("cat-file -p " + changes.head + ":a") == "3");
  CHECK(workspace.git("log -1 --format='%an|%ae' " + changes.head) == "U ; V|u@example.com");
  CHECK_FALSE(std::filesystem::exists(workspace.root() / "ran"));
}

TEST_CASE("take-over: objects that inflate beyond the limit are refused, loose and packed") {
  NEED_OVERLAY();
  constexpr std::uint64_t limit = 1 << 20;
  const std::string bomb = "head -c 20000000 /dev/zero > bomb; git add bomb; git commit -q -m b; ";
  broken(bomb, "20000000 bytes", limit);
  broken(bomb + "git gc -q", "20000000 bytes", limit);
  broken(
      "head -c 900000 /dev/urandom > bomb; git add bomb; git commit -q -m b; "
      "cat bomb bomb > c; mv c bomb; git commit -q -am c; git gc -q --aggressive",
      "bytes", limit);
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "for i in 1 2 3; do head -c 900000 /dev/zero > bomb; echo $i >> bomb; "
      "git add bomb; git commit -q -m $i; done");
  TakeOverRequest request = workspace.request();
  request.max_total_bytes = 2 << 20;
  NullContentSink sink;
  const auto changes = workspace.take(sink, request);
  REQUIRE(changes.has_value());
  CHECK(changes->repository_broken == "all objects together are over the limit");
}

TEST_CASE("take-over: objects whose content has another id, type or form are refused") {
  NEED_OVERLAY();
  const std::string commit =
      "echo 2 > a; git commit -q -am two; echo a > a; chmod -R u+w .git; "
      "p() { echo .git/objects/$(git rev-parse $1 | sed 's,..,&/,'); }; ";
  broken(commit + "x=$(echo other | git hash-object -w --stdin); cp $(p $x) $(p HEAD:a)",
         "another id");
  broken(commit + "cp $(p HEAD) $(p HEAD:a)", "another id");
  broken(commit + "printf junk > $(p HEAD:a)", "zlib");
  broken(commit + ": > $(p HEAD:a)", "zlib");
  broken(commit + "truncate -s 10 $(p HEAD^{tree})", "broken");
  broken(commit_entry("100644 blob %s\\tx") +
             "; t=$(git cat-file tree HEAD: | sed 's/100644 x/40000 x/' | "
             "git hash-object -t tree -w --literally --stdin); "
             "git update-ref --no-deref HEAD $(git commit-tree -p $(git rev-parse HEAD~1) -m m $t)",
         "is no tree");
  broken("id=$(git rev-parse HEAD:a); echo $id > .git/HEAD", "is no commit");
}

TEST_CASE("take-over: trees with dangerous or double names are refused") {
  NEED_OVERLAY();
  for (const char* name : {".git", ".GIT", "..", ".", "git~1", ".git ", ".git. .",
                           ".g\\342\\200\\214it", "x\\\\.git", "a"}) {
    broken(commit_entry("100644 blob %s\\t" + std::string(name)), "tree object is broken");
  }
  broken(commit_entry("100644 blob 0000000000000000000000000000000000000000%.0s\\tz"), "zero id");
  broken(commit_entry("100664 blob %s\\tz") +
             "; git cat-file tree HEAD: | "
             "sed 's/100644 z/100666 z/' > ../t; git update-ref --no-deref HEAD "
             "$(git commit-tree -p HEAD -m m $(git hash-object -t tree -w --literally ../t))",
         "mode");
}

TEST_CASE("take-over: a tree of ten billion paths in eleven objects is refused") {
  NEED_OVERLAY();
  broken(
      "t=$(git rev-parse HEAD^{tree}); for l in 1 2 3 4 5 6 7 8 9 10; do "
      "t=$(for n in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\\t%s\\n' $t $n; done | "
      "git mktree); done; git update-ref --no-deref HEAD $(git commit-tree -p HEAD -m m $t)",
      "more files than can be looked at");
}

TEST_CASE("take-over: thousands of nested trees are refused without recursion") {
  NEED_OVERLAY();
  broken(
      "t=$(git rev-parse HEAD^{tree}); n=$(printf '%0250d' 0); i=0; while [ $i -lt 30 ]; do "
      "t=$(printf '040000 tree %s\\t%s\\n' $t $n | git mktree); i=$((i+1)); done; "
      "git update-ref --no-deref HEAD $(git commit-tree -p HEAD -m m $t)",
      "more than 4095 bytes");
}

TEST_CASE("take-over: a branch that cannot be read costs only itself") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "git checkout -q -b bad; echo 2 > a; git commit -q -am bad; echo 3 > a; "
      "git commit -q -am worse; git branch tip HEAD; "
      "rm -f .git/objects/$(git rev-parse HEAD~1:a | sed 's,..,&/,'); "
      "git checkout -q --detach origin/main; echo n > n; git add n; git commit -q -m n");
  const ChangeSet changes = workspace.take();
  CHECK(changes.repository_broken == "");
  CHECK(changes.agent_commits.size() == 1);
  CHECK(changes.kept_refs.empty());
  CHECK(changes.warnings.size() == 2);
}

TEST_CASE("take-over: a repository of SHA-256 names, a full quarantine, no base are errors") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  NullContentSink sink;
  TakeOverRequest request = workspace.request();
  request.base = std::string(40, '1');
  CHECK(workspace.take(sink, request).error().code == ErrorCode::invalid_input);
  CHECK(take_over(workspace.request(), sink).error().message.find("not empty") !=
        std::string::npos);
  workspace.run("git init -q --bare --object-format=sha256 ../sha256", workspace.root() / "seed");
  request.mirror = workspace.root() / "sha256";
  CHECK(workspace.take(sink, request).error().message.find("SHA-256") != std::string::npos);
}

}  // namespace flow_runner
