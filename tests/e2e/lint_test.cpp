// `flow-runner lint` as a person types it, and published flows that it has mended, as jobs.
#include <algorithm>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/e2e/exec_fixture.hpp"
#include "tests/fixtures/command.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;

namespace {

const std::string broken =
    "image: node:22-slim # kept\ncommands:\n  - agent\n  - '[ --zero \"$HOME\" ]'\n";
const std::string mended =
    "image: node:22-slim # kept\ncommands:\n  - agent\n  - '[ -z \"$HOME\" ]'\n";
const std::string warned = "image: node:latest\ncommands:\n  - agent\n";

fixtures::CommandResult lint(const std::filesystem::path& folder,
                             std::vector<std::string> arguments) {
  fixtures::CommandSpec spec;
  spec.argv = {fixtures::program("flow-runner"), "lint"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.working_directory = folder;
  auto result = fixtures::run_command(spec);
  REQUIRE(result.has_value());
  return *result;
}

/// What the flows install and call, as functions of the one shell that runs all commands. The agent
/// commits one file and leaves another. One flow changes the address of `origin`, which the
/// workspace of a repository without an address does not have.
constexpr std::string_view stubs = R"yaml(
x-flow-runner:
  setup:
    - git remote add origin https://gitlab.example/group/project.git
    - |
      work() {
        echo made > committed.txt; git add committed.txt; git commit --quiet --message 'by the agent'
        echo made > untracked.txt
      }
      claude() { work; }; codex() { work; }; opencode() { work; }; gemini() { work; }; q() { work; }
      npm() { :; }; apt-get() { :; }; curl() { :; }; glab() { :; }; uv() { :; }
      aws() { echo '{}'; }; jq() { cat > /dev/null; echo x; }
      unzip() {
        mkdir -p aws q; printf '#!/bin/sh\n' > aws/install; cp aws/install q/install.sh
        chmod +x aws/install q/install.sh
      }
)yaml";

}  // namespace

TEST_CASE("lint: the exit code is the worst finding's, as --fail-on says") {
  const fixtures::TemporaryDirectory folder;
  fixtures::write_file(folder / "broken.yml", broken);
  fixtures::write_file(folder / "warned.yml", warned);
  CHECK(lint(folder.path(), {"broken.yml"}).exit_code == 1);
  CHECK(lint(folder.path(), {"--fail-on", "never", "broken.yml"}).exit_code == 0);
  CHECK(lint(folder.path(), {"warned.yml"}).exit_code == 0);
  CHECK(lint(folder.path(), {"--fail-on", "warning", "warned.yml"}).exit_code == 1);
  CHECK(lint(folder.path(), {"--fail-on=note", "warned.yml"}).exit_code == 1);
  CHECK(lint(folder.path(), {"warned.yml", "broken.yml"}).exit_code == 1);
  CHECK(lint(folder.path(), {"missing.yml"}).exit_code == 64);
  CHECK(lint(folder.path(), {"--format", "xml", "warned.yml"}).exit_code == 64);
  CHECK(lint(folder.path(), {"."}).exit_code == 64);
}

TEST_CASE("lint: without a file it reads the flows of the folder, and says so when there is none") {
  const fixtures::TemporaryDirectory folder;
  const auto none = lint(folder.path(), {});
  CHECK(none.exit_code == 64);
  CHECK(none.err.find("there is no flow file (*.yml, *.yaml) in .gitlab/duo/flows") !=
        std::string::npos);
  fixtures::write_file(folder / ".gitlab/duo/flows/a.yaml", broken);
  fixtures::write_file(folder / ".gitlab/duo/flows/b.yml", warned);
  fixtures::write_file(folder / ".gitlab/duo/flows/c.txt", broken);
  const auto all = lint(folder.path(), {});
  CHECK(all.exit_code == 1);
  CHECK(all.out.starts_with(".gitlab/duo/flows/a.yaml:4:8: error: "));
  CHECK(all.out.find("\n.gitlab/duo/flows/b.yml:1:8: warning: ") != std::string::npos);
  CHECK(all.out.find("c.txt") == std::string::npos);
}

TEST_CASE("lint: --fix mends the file behind a link, keeps its mode, and is judged afterwards") {
  const fixtures::TemporaryDirectory folder;
  fixtures::write_file(folder / "flow.yml", broken, 0640);
  std::filesystem::create_symlink("flow.yml", folder / "link.yml");
  const auto run = lint(folder.path(), {"--fix", "link.yml"});
  CHECK(run.exit_code == 0);
  CHECK(run.out.empty());
  CHECK(run.err == "link.yml: 1 finding mended\n");
  CHECK(fixtures::slurp(folder / "flow.yml") == mended);
  CHECK(std::filesystem::is_symlink(folder / "link.yml"));
  struct stat status {};
  REQUIRE(::stat((folder / "flow.yml").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
  CHECK(lint(folder.path(), {"--fix", "link.yml"}).err.empty());
}

TEST_CASE("lint: JSON and SARIF go to stdout alone, also for several files") {
  const fixtures::TemporaryDirectory folder;
  fixtures::write_file(folder / "a.yml", broken);
  fixtures::write_file(folder / "b.yml", warned);
  const auto json =
      nlohmann::json::parse(lint(folder.path(), {"--format", "json", "a.yml", "b.yml"}).out);
  REQUIRE(json.size() == 2);
  CHECK(json[0]["file"] == "a.yml");
  CHECK(json[1]["rule"] == "image-without-tag");
  const auto sarif = nlohmann::json::parse(lint(folder.path(), {"--format=sarif", "a.yml"}).out);
  CHECK(sarif["runs"][0]["results"].size() == 1);
}

TEST_CASE("lint: what a file holds cannot steer the terminal") {
  const fixtures::TemporaryDirectory folder;
  fixtures::write_file(folder / "a\x1b[2J.yml",
                       "image: a:1\ncommands: [ 'git push \x1b[2J --\u202Ex' ]\n");
  const auto run = lint(folder.path(), {"a\x1b[2J.yml"});
  CHECK(run.exit_code == 1);
  CHECK(run.out.find('\x1b') == std::string::npos);
  CHECK(run.out.find("\u202E") == std::string::npos);
}

TEST_CASE("lint: it needs no user namespace, no home and no rights") {
  const fixtures::TemporaryDirectory folder;
  fixtures::write_file(folder / "a.yml", warned);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  fixtures::CommandSpec spec;
  // No subordinate ids: every other command refuses such a user.
  spec.argv = {"setpriv",
               "--reuid",
               "65500",
               "--regid",
               "65500",
               "--clear-groups",
               fixtures::program("flow-runner"),
               "lint",
               "a.yml"};
  spec.working_directory = folder.path();
  if (::geteuid() != 0) spec.argv.erase(spec.argv.begin(), spec.argv.begin() + 6);
  const auto run = fixtures::run_command(spec);
  REQUIRE(run.has_value());
  INFO(run->err);
  CHECK(run->exit_code == 0);
}

TEST_CASE("lint: published flows, mended, run to their end and lose nothing") {
  const char* folder = std::getenv("FLOW_RUNNER_PUBLISHED_FLOWS");
  if (folder == nullptr) {
    MESSAGE("skipped: set FLOW_RUNNER_PUBLISHED_FLOWS to a folder with the published flows");
    return;
  }
  for (const char* name : {"amazonq", "claude", "codex", "gemini", "opencode"}) {
    CAPTURE(name);
    e2e::ExecFixture fixture;
    const std::string file = std::string(name) + ".yaml";
    fixtures::write_file(
        fixture.flow_file(),
        fixtures::slurp(std::filesystem::path(folder) / file) + std::string(stubs));
    const auto mending = lint(fixture.folder(), {"--fix", fixture.flow_file().string()});
    INFO(mending.out);
    CHECK(mending.exit_code == 0);
    const auto run =
        fixture.push({"--image", "localhost/debian-git", "--var", "GITLAB_HOST=gitlab.example",
                      "--var", "MCP_CONFIG={\"a\": \"* b\"}", "--var", "AWS_SECRET_NAME=x"});
    INFO(run.log);
    CHECK(run.exit_code == 0);
    CHECK(run.changes() == std::vector<std::string>{"A committed.txt", "A untracked.txt"});
    CHECK(fixture.pushed());
    CHECK(fixture.origin()
              .git({"log", "--format=%s", "-n2", "workloads/test"})
              .find("by the agent") != std::string::npos);
  }
}
