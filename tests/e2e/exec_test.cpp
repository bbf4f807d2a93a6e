// exec from flow file to pushed commit, on real parts: the built programs, a container, git.
#include <algorithm>
#include <doctest/doctest.h>
#include <string>

#include "tests/e2e/exec_fixture.hpp"

using namespace flow_runner;
using e2e::ExecFixture;

namespace {

bool contains(const std::vector<std::string>& lines, const std::string& line) {
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

}  // namespace

TEST_CASE(
    "exec: uncommitted, untracked and committed work is pushed, modes kept, commits unaltered") {
  ExecFixture test;
  test.flow({"git config user.name Agent; git config user.email agent@example.com",
             "printf '#!/bin/sh\\n' > run.sh; chmod +x run.sh; git add run.sh; git commit -qm 'By "
             "the agent'",
             "git rev-parse HEAD > /tmp/id; cat /tmp/id",
             "echo changed >> README.md; echo new > untracked.txt; rm src/main.c"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.result["status"] == "success");
  CHECK(ran.changes() ==
        std::vector<std::string>{"M README.md", "A run.sh", "D src/main.c", "A untracked.txt"});
  CHECK(ran.result["pushed"]["ref"] == "refs/heads/workloads/test");
  const auto& origin = test.origin();
  CHECK(origin.git({"log", "--format=%s", "main..workloads/test"}) ==
        "Changes by flow\nBy the agent");
  CHECK(origin.git({"log", "-1", "--format=%an <%ae>", "workloads/test~1"}) ==
        "Agent <agent@example.com>");
  CHECK(origin.git({"ls-tree", "workloads/test", "run.sh"}).substr(0, 6) == "100755");
  CHECK(ran.log_has(origin.id("workloads/test~1")));
  CHECK(origin.git({"log", "-1", "--format=%B", "workloads/test"}).find("Flow-Runner-Job: ") !=
        std::string::npos);
}

TEST_CASE("exec: nothing changed, nothing pushed, and the log says so") {
  ExecFixture test;
  test.flow({"git status --short", "git log -1 --format=%s"});
  const auto ran = test.push();
  CHECK(ran.exit_code == 0);
  CHECK(ran.changes().empty());
  CHECK(ran.result["pushed"].is_null());
  CHECK(ran.log_has("nothing is published"));
  CHECK_FALSE(test.pushed());
}

TEST_CASE("exec: a failed script keeps its changes, and they can be published afterwards") {
  ExecFixture test;
  test.flow({"echo half > half.txt", "echo before; false", "echo never"});
  const auto ran = test.push();
  CHECK(ran.exit_code == 1);
  CHECK(ran.cause() == "script_failure");
  CHECK(ran.result["exit_code"] == 1);
  CHECK_FALSE(ran.log_has("\nnever"));
  CHECK_FALSE(test.pushed());
  REQUIRE(ran.result["bundle"].is_object());
  const std::string id = ran.result["id"];
  CHECK(ran.log_has("flow-runner publish " + id));
  const auto published = test.run({"publish", id});
  CHECK_MESSAGE(published.exit_code == 0, published.err);
  CHECK(test.origin().show("workloads/test", "half.txt") == "half");
}

TEST_CASE(
    "exec: a dry run pushes nothing, shows the diff, and apply brings it into the work tree") {
  ExecFixture test;
  test.flow({"echo more >> README.md"});
  const auto ran = test.exec({"--repo", test.project().path()});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK_FALSE(test.pushed());
  CHECK(ran.changes() == std::vector<std::string>{"M README.md"});
  const std::string id = ran.result["id"];
  const auto diff = test.run({"show", id, "--diff"});
  CHECK(diff.out.find("+more") != std::string::npos);
  fixtures::CommandSpec apply;
  apply.argv = {"apply", id};
  apply.working_directory = test.project().path();
  const auto applied = e2e::shared_state().flow_runner(apply);
  REQUIRE(applied.has_value());
  CHECK_MESSAGE(applied->exit_code == 0, applied->err);
  CHECK(fixtures::slurp(test.project().path() / "README.md") == "A project\nmore\n");
}

TEST_CASE("exec: a dry run starts from uncommitted and untracked files, never from ignored ones") {
  ExecFixture test;
  fixtures::write_file(test.project().path() / "README.md", "Edited\n");
  fixtures::write_file(test.project().path() / "draft.txt", "draft\n");
  fixtures::write_file(test.project().path() / ".gitignore", "*.o\n");
  fixtures::write_file(test.project().path() / "main.o", "object\n");
  test.flow({"cat README.md draft.txt", "test ! -e main.o", "git status --short"});
  const auto ran = test.exec({"--repo", test.project().path()});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.log_has("Edited\ndraft\n"));
  CHECK(ran.changes().empty());
}

TEST_CASE(
    "exec: --push refuses a dirty tree, and --push-local makes a branch without touching HEAD") {
  ExecFixture test;
  test.flow({"echo local > local.txt"});
  fixtures::write_file(test.project().path() / "README.md", "Edited\n");
  const auto refused = test.exec({"--repo", test.project().path(), "--push-local"});
  CHECK(refused.exit_code == 64);
  CHECK(refused.log_has("--include-uncommitted"));
  fixtures::write_file(test.project().path() / "README.md", "A project\n");
  const auto head = test.project().id("HEAD");
  const auto ran = test.exec(
      {"--repo", test.project().path(), "--push-local", "--workload-ref", "workloads/local"});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.project().show("workloads/local", "local.txt") == "local");
  CHECK(test.project().id("HEAD") == head);
  CHECK(test.project().git({"status", "--short"}).empty());
}

TEST_CASE("exec: what kept changes build on survives a prune") {
  ExecFixture test;
  fixtures::write_file(test.project().path() / "README.md", "Edited\n");
  test.flow({"echo more >> README.md"});
  const auto ran = test.exec({"--repo", test.project().path()});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  const auto refused = test.run({"prune", "--older-than", "1"});
  CHECK(refused.exit_code == 64);
  const auto pruned = test.run({"prune", "--older-than", "0s"});
  CHECK_MESSAGE(pruned.exit_code == 0, pruned.err);
  fixtures::CommandSpec apply;
  apply.argv = {"apply", ran.result["id"].get<std::string>()};
  apply.working_directory = test.project().path();
  const auto applied = e2e::shared_state().flow_runner(apply);
  REQUIRE(applied.has_value());
  CHECK_MESSAGE(applied->exit_code == 0, applied->err);
  CHECK(fixtures::slurp(test.project().path() / "README.md") == "Edited\nmore\n");
}

TEST_CASE("exec: a folder can be renamed, and two that trade places are seen to have changed") {
  ExecFixture test;
  fixtures::write_file(test.project().path() / "a/x", "one\n");
  fixtures::write_file(test.project().path() / "b/x", "two\n");
  test.flow({"git mv src lib", "mv a t && mv b a && mv t b"});
  const auto ran = test.exec({"--repo", test.project().path()});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.changes() == std::vector<std::string>{"M a/x", "M b/x", "A lib/main.c", "A lib/tool.sh",
                                                  "D src/main.c", "D src/tool.sh"});
}

TEST_CASE("exec: commands share one shell, and the job's variables arrive unharmed") {
  ExecFixture test;
  test.flow(
      {"export KEPT='from before'; cd src", "pwd; echo \"$KEPT\"", "printf '%s' \"$AI_FLOW_INPUT\"",
       "printf '%s\\n' \"$LISTED\"; test -z \"${UNLISTED:-}\"",
       "cat < /dev/stdin; echo \"$CI_PROJECT_DIR\""},
      {"LISTED"});
  const auto ran = test.push({"--input", "a 'quote' \"double\" $HOME `id` @name\nline two\n",
                              "--var", "LISTED=value $x", "--var", "UNLISTED=no"});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.log_has("/src\nfrom before\n"));
  CHECK(ran.log_has("a 'quote' \"double\" $HOME `id` @name\nline two\n"));
  CHECK(ran.log_has("value $x\n"));
  CHECK(ran.log_has("UNLISTED"));
}

TEST_CASE("exec: a secret reaches the script, and no log, result or file of the state folder") {
  ExecFixture test;
  const std::string secret = "s3cr3t-value-of-the-key";
  test.flow({"test \"$SERVICE_TOKEN\" = s3cr3t-value-of-the-\"key\" && echo it arrived",
             "echo \"raw $SERVICE_TOKEN\"", "printf %s \"$SERVICE_TOKEN\" | base64",
             "ls -la /run/flow-runner"},
            {"SERVICE_TOKEN"});
  const auto ran = test.push({"--secret", "SERVICE_TOKEN"}, {"SERVICE_TOKEN=" + secret});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.log_has("it arrived"));
  CHECK(ran.log_has("raw [MASKED]"));
  CHECK_FALSE(ran.log_has(secret));
  CHECK_FALSE(ran.log_has("czNjcjN0LXZhbHVlLW9mLXRoZS1rZXk"));
  const auto found = fixtures::run_command(
      {.argv = {"grep", "-rl", "--exclude-dir=images", secret, e2e::shared_state().path()}});
  REQUIRE(found.has_value());
  CHECK(found->out.empty());
}

TEST_CASE("exec: limits and user namespace hold in the job, and the time limit ends it") {
  ExecFixture test;
  test.flow({"echo kept > kept.txt; sleep 60"});
  const auto ran = test.push({"--timeout", "2s"});
  CHECK(ran.exit_code == 1);
  CHECK(ran.cause() == "timeout");
  CHECK(ran.result["bundle"].is_object());
  CHECK(contains(ran.changes(), "A kept.txt"));
}

TEST_CASE("exec: a moved workload branch is not overwritten: the job's commits go on top") {
  ExecFixture test;
  test.project().git({"checkout", "-q", "-b", "workloads/test"});
  fixtures::GitRepository project = test.project();
  project.write("other.txt", "other\n");
  const auto other = project.commit("By somebody else");
  project.git({"push", "-q", test.origin().path().string(), "workloads/test"});
  test.flow({"echo mine > mine.txt"});
  const auto ran = test.push({"--ref", "main"});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().id("workloads/test~1") == other);
  CHECK(test.origin().show("workloads/test", "mine.txt") == "mine");
}

TEST_CASE("exec: the job's user is the image's, and a shell without bash will do") {
  ExecFixture test;
  test.flow({"id -u; echo by sh > sh.txt"}, {}, "localhost/busybox");
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().show("workloads/test", "sh.txt") == "by sh");
}

TEST_CASE("exec: mistakes are told before anything starts") {
  ExecFixture test;
  SUBCASE("a flow file with several mistakes") {
    fixtures::write_file(test.flow_file(), "image: 7\ncommand: x\nvariables: [1a]\n");
    const auto ran = test.push();
    CHECK(ran.exit_code == 64);
    CHECK(ran.log_has("flow.yaml:1:"));
    CHECK(ran.log_has("commands"));
  }
  SUBCASE("a workload ref that nobody may push to") {
    test.flow({"true"});
    const auto ran = test.push({"--workload-ref", "main"});
    CHECK(ran.exit_code != 0);
    CHECK(ran.log_has("main"));
    CHECK_FALSE(ran.log_has("$ true"));
  }
  SUBCASE("a secret on the command line is not repeated") {
    test.flow({"true"});
    const auto ran = test.push({"--secret", "TOKEN=hunter2hunter2"});
    CHECK(ran.exit_code == 64);
    CHECK_FALSE(ran.log_has("hunter2"));
  }
  SUBCASE("an image that is not there") {
    test.flow({"true"}, {}, "localhost/no-such-image");
    const auto ran = test.push();
    CHECK(ran.exit_code == 2);
    CHECK(ran.cause() == "image_pull_failure");
  }
}
