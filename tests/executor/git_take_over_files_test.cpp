#include <algorithm>
#include <doctest/doctest.h>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/git_take_over.hpp"
#include "tests/executor/git_take_over_workspace.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view files =
    "mkdir -p src/deep lib docs && echo a > a && echo b > src/b && echo c > src/deep/c && "
    "echo l > lib/l && echo d > docs/d && ln -s a link && echo x > run.sh && chmod +x run.sh";

bool warns(const ChangeSet& changes, std::string_view words) {
  return std::any_of(changes.warnings.begin(), changes.warnings.end(),
                     [&](const auto& warning) { return warning.find(words) != std::string::npos; });
}

/// Runs an agent's script; the result must be what `git add -A` makes, and the changes as given.
void same_as_git(std::string_view script, std::string_view listing) {
  CAPTURE(script);
  TakeOverWorkspace workspace(files);
  workspace.agent(script);
  const ChangeSet changes = workspace.take();
  CHECK(workspace.tree_of(changes.head) == workspace.expected_tree());
  CHECK(TakeOverWorkspace::listing(changes) == listing);
  CHECK(changes.repository_broken == "");
  CHECK(changes.warnings.empty());
}

}  // namespace

TEST_CASE("take-over: nothing changed leaves head at base and makes no commit") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent("touch a; chmod 600 a; git status; git checkout -q -b work");
  const ChangeSet changes = workspace.take();
  CHECK(changes.head == workspace.base());
  CHECK(changes.own_commit.empty());
  CHECK(changes.changes.empty());
  CHECK(changes.warnings.empty());
}

TEST_CASE("take-over: files that were made, changed and deleted become one commit on base") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent("echo new > src/new; echo more >> a; rm docs/d");
  RecordingSink sink;
  const auto changes = workspace.take(sink, workspace.request());
  REQUIRE(changes.has_value());
  CHECK(TakeOverWorkspace::listing(*changes) == "M a\nD docs/d\nA src/new\n");
  CHECK(workspace.git("log -1 --format='%an <%ae>|%cn|%ct|%P|%s' " + changes->head) ==
        "flow-runner <flow-runner@localhost>|Committer|1700000100|" + workspace.base() +
            "|Changes by agent");
  CHECK(workspace.git("rev-parse HEAD") == changes->head);
  CHECK(sink.has(ContentKind::blob, "new\n"));
  CHECK(sink.has(ContentKind::blob, "a\nmore\n"));
  CHECK(sink.has(ContentKind::path, "docs/d"));
  CHECK(sink.has(ContentKind::message, "Flow-Job: 1"));
  CHECK_FALSE(sink.has(ContentKind::blob, "d\n"));
  for (const auto& piece : sink.pieces) CHECK(piece.size == piece.bytes.size());
}

TEST_CASE("take-over: whiteouts, opaque folders and renamed folders are what git sees") {
  NEED_OVERLAY();
  same_as_git("rm -rf src", "D src/b\nD src/deep/c\n");
  same_as_git("rm -rf src; mkdir src; echo n > src/n", "D src/b\nD src/deep/c\nA src/n\n");
  same_as_git("mv src moved", "A moved/b\nA moved/deep/c\nD src/b\nD src/deep/c\n");
  same_as_git("mv src x; mv x src; echo 2 > src/b", "M src/b\n");
  same_as_git("mv src lib/", "A lib/src/b\nA lib/src/deep/c\nD src/b\nD src/deep/c\n");
  same_as_git("mv src t; mv lib src; mv t lib",
              "A lib/b\nA lib/deep/c\nD lib/l\nD src/b\nD src/deep/c\nA src/l\n");
  same_as_git("rm a; echo a > a", "");
  same_as_git("mkdir -p e/m/p/t/y", "");
}

TEST_CASE("take-over: modes, links and changes of type are what git sees") {
  NEED_OVERLAY();
  same_as_git("chmod +x a; chmod -x run.sh", "M a\nM run.sh\n");
  same_as_git("rm a; ln -s src a", "T a\n");
  same_as_git("rm link; echo f > link", "T link\n");
  same_as_git("ln -sfn /etc/passwd link; ln -s ../../.. out", "M link\nA out\n");
  same_as_git("rm a; mkdir a; echo i > a/i", "D a\nA a/i\n");
  same_as_git("rm a; mkdir a", "D a\n");
  same_as_git("rm -rf src; echo f > src", "A src\nD src/b\nD src/deep/c\n");
  same_as_git("rm -rf src; ln -s lib src", "A src\nD src/b\nD src/deep/c\n");
}

TEST_CASE("take-over: names may hold any byte") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "printf x > \"$(printf 'new\\nline')\"; printf x > \"$(printf 'bad\\377utf')\"; "
      "printf x > ' \"quoted\\ '; printf x > -rf; printf x > '*'");
  const ChangeSet changes = workspace.take();
  CHECK(workspace.tree_of(changes.head) == workspace.expected_tree());
  CHECK(changes.changes.size() == 5);
  CHECK(TakeOverWorkspace::listing(changes).find("A bad\xffutf\n") != std::string::npos);
}

TEST_CASE("take-over: what .gitignore leaves out is not taken unless it was tracked") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(
      "mkdir -p out/k src && echo t > out/tracked && echo k > out/k/tracked && "
      "printf '*.o\\n/build/\\n!keep.o\\nsrc/**/gen\\nlog[0-9]\\n\\\\#x\\ntrail   "
      "\\nfoo/*\\n!foo/bar\\n' > "
      ".gitignore && git add -f out && echo out/ >> .gitignore");
  workspace.agent(
      "mkdir -p build a/build src/x/gen src/gen foo/bar sub; echo 1 > x.o; echo 1 > keep.o; "
      "echo 1 > build/f; echo 1 > a/build/f; echo 1 > src/x/gen/f; echo 1 > src/gen/f; "
      "echo 1 > log1; echo 1 > logx; echo 1 > '#x'; echo 1 > trail; echo 1 > foo/f; "
      "echo 1 > foo/bar/f; echo 2 > out/tracked; echo 1 > out/new; "
      "printf '!y.o\\nz\\n' > sub/.gitignore; echo 1 > sub/y.o; echo 1 > sub/z; "
      "mkdir -p sub/q; echo 1 > sub/q/z; echo .git-info > .git/info/exclude; echo q > .git-info");
  const ChangeSet changes = workspace.take();
  CHECK(workspace.tree_of(changes.head) == workspace.expected_tree());
  CHECK(TakeOverWorkspace::listing(changes) ==
        "A .git-info\nA a/build/f\nA foo/bar/f\nA keep.o\nA logx\nM out/tracked\nA sub/.gitignore\n"
        "A sub/y.o\n");
}

TEST_CASE("take-over: a nested repository is taken as plain files, with a warning") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "git init -q nested; echo n > nested/n; git -C nested add .; git -C nested commit -q -m n; "
      "mkdir -p lib/sub; echo 'gitdir: /etc' > lib/sub/.git; echo s > lib/sub/s; "
      "mkdir .GIT; echo x > .GIT/config");
  const ChangeSet changes = workspace.take();
  CHECK(TakeOverWorkspace::listing(changes) == "A lib/sub/s\nA nested/n\n");
  CHECK(warns(changes, "'lib/sub', 'nested'"));
  CHECK(warns(changes, ".GIT/config"));
}

TEST_CASE("take-over: files in a submodule are left out, with a warning") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(
      "git update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,sub; "
      "mkdir sub; git commit -q -m sub; echo a > a; touch -d 2000-01-01 sub");
  workspace.agent("mkdir -p sub/d; echo f > sub/d/f; echo b > b");
  const ChangeSet changes = workspace.take();
  CHECK(TakeOverWorkspace::listing(changes) == "A b\n");
  CHECK(warns(changes, "submodule cannot be committed here and are left out: 'sub'"));
}

TEST_CASE("take-over: FIFOs, sockets and devices are named and never opened") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "rm a; mkfifo a; mkfifo src/pipe; mknod dev c 1 3; mkdir lib/g; mkfifo lib/g/.gitignore; "
      "echo t > lib/g/t; mkfifo .gitignore .gitattributes");
  const ChangeSet changes = workspace.take();
  CHECK(TakeOverWorkspace::listing(changes) == "D a\nA lib/g/t\n");
  CHECK(warns(changes, "'dev'"));
  CHECK(warns(changes, "'src/pipe'"));
}

TEST_CASE("take-over: paths deeper than git can open are left out, with a warning") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "n=$(printf '%0200d' 0); p=$n; i=0; while [ $i -lt 29 ]; do p=$p/$n; i=$((i+1)); done; "
      "mkdir -p $p");
  const ChangeSet changes = workspace.take();
  CHECK(changes.changes.empty());
  CHECK(warns(changes, "more than 4095 bytes"));
}

TEST_CASE("take-over: LFS paths are marked, by the attributes of before and after") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(
      "printf '*.bin filter=lfs diff=lfs -text\\n' > .gitattributes; mkdir d; echo p > d/a.bin; "
      "echo p > n.bin; printf '*.txt text eol=crlf\\n' >> .gitattributes; printf 'x\\r\\n' > "
      "c.txt");
  workspace.agent(
      "echo q > d/a.bin; echo '*.bin -filter' > .gitattributes; echo '*.dat filter=lfs' > "
      "d/.gitattributes; echo 1 > d/x.dat; echo 1 > x.dat; printf 'y\\r\\n' > c.txt");
  const ChangeSet changes = workspace.take();
  CHECK(TakeOverWorkspace::listing(changes) ==
        "M .gitattributes\nM c.txt\nA d/.gitattributes\nM d/a.bin lfs\nA d/x.dat lfs\nA x.dat\n");
  CHECK(workspace.git("cat-file -p " + changes.head + ":c.txt") == "y\r");
}

TEST_CASE("take-over: a sparse checkout's missing files do not count as deleted, with a warning") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent("git sparse-checkout set --no-cone /src; echo 2 > src/b");
  const ChangeSet changes = workspace.take();
  CHECK(TakeOverWorkspace::listing(changes) == "M src/b\n");
  CHECK(warns(changes, "sparse checkout"));
  CHECK_FALSE(changes.left_out);
}

TEST_CASE("take-over: a file over the limit is left out, with a warning") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent("truncate -s 2M big; head -c 1500000 /dev/zero > streamed; echo 2 > a");
  TakeOverRequest request = workspace.request();
  request.max_object_bytes = 1'600'000;
  NullContentSink sink;
  const auto changes = workspace.take(sink, request);
  REQUIRE(changes.has_value());
  CHECK(TakeOverWorkspace::listing(*changes) == "M a\nA streamed\n");
  CHECK(changes->left_out);
  CHECK(warns(*changes, "'big'"));
  CHECK(workspace.git("cat-file -s " + changes->head + ":streamed") == "1500000");
}

TEST_CASE("take-over: ten thousand changed files are taken") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent("mkdir many; cd many; seq -f %05g 10000 | split -l 1 -a 4 - f");
  const ChangeSet changes = workspace.take();
  CHECK(changes.changes.size() == 10'000);
  CHECK(workspace.tree_of(changes.head) == workspace.expected_tree());
}

TEST_CASE("take-over: it works in full confinement, which leaves nothing but its folders") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "echo 2 > a; mv src moved; echo n > n; git add -A; git commit -q -m agent; "
      "git gc -q; head -c 3000000 /dev/urandom > big; echo secret > priv; "
      "chown -R 4242 . ; chmod 0 priv");
  TakeOverRequest request = workspace.request();
  request.confine = true;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    RecordingSink sink;
    const auto changes = take_over(request, sink);
    int wrong = 0;
    if (!changes) {
      const std::string line = changes.error().message + "\n";
      wrong = write(2, line.data(), line.size()) < 0 ? 2 : 1;
    } else {
      if (changes->agent_commits.size() != 1 || changes->own_commit.empty()) wrong = 3;
      if (!changes->repository_broken.empty()) wrong = 4;
      if (access("/etc", F_OK) == 0 || access("/proc", F_OK) == 0) wrong = 5;
      if (fork() != -1) wrong = 6;
      if (mkdir((workspace.mirror() / "objects/zz").c_str(), 0700) == 0) wrong = 7;
      if (mkdir((workspace.merged() / "zz").c_str(), 0700) == 0) wrong = 8;
      if (mkdir("/zz", 0700) == 0) wrong = 9;
      if (!sink.has(ContentKind::blob, "secret")) wrong = 10;
      if (chown(workspace.quarantine().c_str(), 1, 1) == 0) wrong = 11;
    }
    _exit(wrong);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(workspace.git("rev-list --count " + workspace.base() + "..HEAD") == "2");
}

}  // namespace flow_runner
