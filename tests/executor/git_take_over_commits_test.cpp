#include <algorithm>
#include <doctest/doctest.h>
#include <string>

#include "executor/git_take_over.hpp"
#include "tests/executor/git_take_over_workspace.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view files = "mkdir src && echo a > a && echo b > src/b";

bool warns(const ChangeSet& changes, std::string_view words) {
  return std::any_of(changes.warnings.begin(), changes.warnings.end(),
                     [&](const auto& warning) { return warning.find(words) != std::string::npos; });
}

std::string kept(const ChangeSet& changes) {
  std::string names;
  for (const auto& [name, id] : changes.kept_refs) names += name + "\n";
  return names;
}

}  // namespace

TEST_CASE("take-over: commits on a detached HEAD are taken over unaltered") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent("echo 2 > a; git commit -q -am one; echo 3 > a; git commit -q -am two");
  const std::string head = workspace.agent("git rev-parse HEAD");
  RecordingSink sink;
  const auto changes = workspace.take(sink, workspace.request());
  REQUIRE(changes.has_value());
  CHECK(changes->head == head);
  CHECK(changes->own_commit.empty());
  REQUIRE(changes->agent_commits.size() == 2);
  CHECK(changes->agent_commits.back() == head);
  CHECK(TakeOverWorkspace::listing(*changes) == "M a\n");
  CHECK(sink.has(ContentKind::blob, "2\n"));
  CHECK(sink.has(ContentKind::blob, "3\n"));
  CHECK(sink.has(ContentKind::message, "\none\n"));
  CHECK(changes->warnings.empty());
}

TEST_CASE("take-over: what is left uncommitted goes on top of the agent's branch") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "git checkout -q -b work; mv src moved; git add -A; git commit -q -m move; "
      "echo new > moved/new; rm a; git config user.name 'A <b>'; "
      "git config user.email a@example.com");
  const std::string head = workspace.agent("git rev-parse HEAD");
  const ChangeSet changes = workspace.take();
  CHECK(changes.agent_commits == std::vector<std::string>{head});
  CHECK(workspace.git("log -1 --format='%P|%an <%ae>' " + changes.own_commit) ==
        head + "|A b <a@example.com>");
  CHECK(workspace.tree_of(changes.head) == workspace.expected_tree());
  CHECK(TakeOverWorkspace::listing(changes) == "D a\nA moved/b\nA moved/new\nD src/b\n");
  CHECK(changes.kept_refs.empty());
}

TEST_CASE("take-over: a commit that is undone in the files is undone on top of it") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "echo n > n; rm src/b; git add -A; git commit -q -m n; rm n; mkdir -p src; "
      "echo b > src/b");
  const ChangeSet changes = workspace.take();
  CHECK(changes.agent_commits.size() == 1);
  CHECK_FALSE(changes.own_commit.empty());
  CHECK(changes.changes.empty());
  CHECK(workspace.tree_of(changes.head) == workspace.expected_tree());
}

TEST_CASE("take-over: merges are taken over with both lines") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "git checkout -q -b x; echo x > x; git add x; git commit -q -m x; "
      "git checkout -q --detach origin/main; echo y > y; git add y; "
      "git commit -q -m y; git merge -q -m merge x");
  const ChangeSet changes = workspace.take();
  CHECK(changes.agent_commits.size() == 3);
  CHECK(TakeOverWorkspace::listing(changes) == "A x\nA y\n");
  CHECK(changes.kept_refs.empty());
}

TEST_CASE("take-over: an amended base becomes one commit on base, and the agent's is kept") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "echo '*.log' > .gitignore; echo l > f.log; git add -f .; "
      "git commit -q --amend -m amended");
  const ChangeSet changes = workspace.take();
  CHECK(changes.agent_commits.empty());
  CHECK(workspace.git("rev-parse " + changes.head + "^") == workspace.base());
  CHECK(TakeOverWorkspace::listing(changes) == "A .gitignore\nA f.log\n");
  CHECK(kept(changes) == "refs/flow-runner/agent-head\n");
  CHECK(workspace.git("log -1 --format=%s refs/flow-runner/agent-head") == "amended");
  CHECK(warns(changes, "does not descend"));
}

TEST_CASE("take-over: a reset below base and an orphan branch become one commit on base") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(std::string(files) +
                              "; git add .; git commit -q -m first; echo 2 > a");
  workspace.agent("git reset -q --hard HEAD~1; echo n > n");
  ChangeSet changes = workspace.take();
  CHECK(workspace.git("rev-parse " + changes.head + "^") == workspace.base());
  CHECK(TakeOverWorkspace::listing(changes) == "M a\nA n\n");
  CHECK(changes.kept_refs.empty());
  CHECK(warns(changes, "does not descend"));

  workspace.agent("git checkout -q --orphan fresh");
  changes = workspace.take();
  CHECK(TakeOverWorkspace::listing(changes) == "M a\nA n\n");
  CHECK(warns(changes, "has no commit"));
  CHECK(changes.repository_broken.empty());

  workspace.agent("git add -A; git commit -q -m orphan");
  changes = workspace.take();
  CHECK(TakeOverWorkspace::listing(changes) == "M a\nA n\n");
  CHECK(kept(changes) == "refs/flow-runner/agent-head\n");
}

TEST_CASE("take-over: a fast-forward to a commit of the mirror descends from base") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.run(
      "git checkout -q -b ahead; echo 2 > a; git commit -q -am ahead; "
      "git push -q ../mirror ahead",
      workspace.root() / "seed");
  workspace.agent("git fetch -q origin; git merge -q --ff-only origin/ahead; echo n > n");
  const ChangeSet changes = workspace.take();
  CHECK(changes.agent_commits.empty());
  CHECK(TakeOverWorkspace::listing(changes) == "M a\nA n\n");
  CHECK(workspace.git("log -1 --format=%s " + changes.head + "^") == "ahead");
}

TEST_CASE("take-over: other branches and the stash are kept when they hold unknown commits") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent(
      "git checkout -q -b a/b; echo 2 > a; git commit -q -am ab; git branch same; "
      "git checkout -q --detach origin/main; git branch base; echo s > a; git stash -q; "
      "git pack-refs --all; git checkout -q -b work; echo w > w; git add w; "
      "git commit -q -m w; git branch published");
  const ChangeSet changes = workspace.take();
  CHECK(kept(changes) ==
        "refs/flow-runner/branches/a/b\nrefs/flow-runner/branches/same\nrefs/flow-runner/stash\n");
  CHECK(workspace.git("log -1 --format=%s refs/flow-runner/branches/a/b") == "ab");
  CHECK(workspace.git("show refs/flow-runner/stash:a") == "s");
  CHECK(TakeOverWorkspace::listing(changes) == "A w\n");
  workspace.git("bundle create -q ../out.bundle --all ^" + workspace.base());
}

TEST_CASE("take-over: packed objects are found whatever packs, deltas and gc the agent uses") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  const std::string_view grow =
      "seq 3000 > big; git add big; git commit -q -m 0; for i in 1 2 3 4 5 6; do echo $i >> big; "
      "git commit -q -am $i; done; ";
  for (const char* pack :
       {"git gc -q", "git repack -q -a -d", "git repack -q -d; rm .git/objects/pack/*.idx",
        "git -c repack.useDeltaBaseOffset=false repack -q -a -d -f --depth=200 --window=50",
        "git gc -q; chmod -R u+w .git/objects; for f in .git/objects/pack/*.idx; do "
        "echo junk > $f; done"}) {
    CAPTURE(pack);
    TakeOverWorkspace packed(files);
    packed.agent(std::string(grow) + pack);
    const ChangeSet changes = packed.take();
    CHECK(changes.repository_broken == "");
    CHECK(changes.agent_commits.size() == 7);
    CHECK(packed.git("cat-file -p " + changes.head + ":big | tail -1") == "6");
  }
}

TEST_CASE("take-over: authors come from the job, then the workspace, then us") {
  NEED_OVERLAY();
  TakeOverWorkspace workspace(files);
  workspace.agent("echo 2 > a; git config user.name W; git config user.email w@example.com");
  TakeOverRequest request = workspace.request();
  request.author_override = "Job\n<evil> <job@example.com>";
  request.committer_override = "no mail";
  NullContentSink sink;
  const auto changes = workspace.take(sink, request);
  REQUIRE(changes.has_value());
  CHECK(workspace.git("log -1 --format='%an|%ae|%cn' " + changes->head) ==
        "Jobevil|job@example.com|Committer");
}

}  // namespace flow_runner
