#include "daemon/cli/exec_inputs.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace flow_runner::cli;

namespace {

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("flow file: the only one is found, none and several are explained") {
  const fixtures::TemporaryDirectory folder;
  LocalRepository local;
  local.folder = folder.path();
  auto flow = find_flow({}, local);
  REQUIRE_FALSE(flow.has_value());
  CHECK(has(flow.error().message, ".gitlab/duo/flows"));

  fixtures::write_file(folder / ".gitlab/duo/flows/README.md", "x");
  fixtures::write_file(folder / ".gitlab/duo/flows/b.yaml", "x");
  flow = find_flow({}, local);
  REQUIRE(flow.has_value());
  CHECK(flow->filename() == "b.yaml");

  fixtures::write_file(folder / ".gitlab/duo/flows/a.yml", "x");
  flow = find_flow({}, local);
  REQUIRE_FALSE(flow.has_value());
  CHECK(has(flow.error().message, "a.yml"));
  CHECK(has(flow.error().message, "b.yaml"));

  ExecOptions options;
  options.flow = folder / "absent.yaml";
  flow = find_flow(options, local);
  REQUIRE_FALSE(flow.has_value());
  CHECK(has(flow.error().message, "absent.yaml"));
  CHECK(has(flow.error().message, "a.yml"));
  CHECK_FALSE(find_flow({}, std::nullopt).has_value());
}

TEST_CASE("flow file: a word behind --secret that was meant as its value is not repeated") {
  ExecOptions options;
  options.flow = "hunter2";
  options.secrets.push_back({"KEY", {}});
  const auto flow = find_flow(options, std::nullopt);
  REQUIRE_FALSE(flow.has_value());
  CHECK_FALSE(has(flow.error().message, "hunter2"));
}

TEST_CASE("secrets: come from the environment or a file, without the last line break") {
  const fixtures::TemporaryDirectory folder;
  fixtures::write_file(folder / "token", "line one\nline two\r\n");
  fixtures::write_file(folder / "empty", "\n");
  ::setenv("FLOW_RUNNER_TEST_KEY", "from the environment", 1);
  ::unsetenv("FLOW_RUNNER_TEST_ABSENT");
  ExecOptions options;
  options.secrets = {{"FLOW_RUNNER_TEST_KEY", {}}, {"TOKEN", folder / "token"}};
  const auto secrets = read_secrets(options);
  ::unsetenv("FLOW_RUNNER_TEST_KEY");
  REQUIRE(secrets.has_value());
  REQUIRE(secrets->size() == 2);
  CHECK((*secrets)[0].value.reveal() == "from the environment");
  CHECK((*secrets)[1].value.reveal() == "line one\nline two");

  options.secrets = {{"FLOW_RUNNER_TEST_ABSENT", {}}};
  CHECK(has(read_secrets(options).error().message, "export it"));
  options.secrets = {{"KEY", folder / "empty"}};
  CHECK(has(read_secrets(options).error().message, "is empty"));
  options.secrets = {{"KEY", folder / "absent"}};
  CHECK_FALSE(read_secrets(options).has_value());
  options.secrets.clear();
  options.git_token_from = "FLOW_RUNNER_TEST_ABSENT";
  CHECK(has(read_secrets(options).error().message, "--git-token-from"));
}

TEST_CASE("addresses and folders are told apart") {
  for (const char* word : {"https://example.com/x", "http://x/y", "ssh://git@x/y", "git@x:y/z.git"})
    CHECK(is_address(word));
  for (const char* word : {"", ".", "/srv/x", "../x", "file:///srv/x", "dir/a:b"})
    CHECK_FALSE(is_address(word));
}

TEST_CASE("local repository: is found from below, bare ones too, and its absence is explained") {
  const fixtures::TemporaryDirectory folder;
  const std::string config = "[remote \"origin\"]\n\turl = https://example.com/g/p.git\n";
  fixtures::write_file(folder / "work/.git/HEAD", "ref: refs/heads/topic\n");
  fixtures::write_file(folder / "work/.git/config", config);
  fixtures::write_file(folder / "work/.git/refs/remotes/origin/HEAD",
                       "ref: refs/remotes/origin/main\n");
  fixtures::write_file(folder / "work/a/b/file", "x");
  auto found = find_repository(folder / "work/a/b");
  REQUIRE(found.has_value());
  CHECK(found->folder == std::filesystem::canonical(folder / "work"));
  CHECK(found->head_branch == "topic");
  CHECK(found->default_branch == "main");
  CHECK(found->origin == "https://example.com/g/p.git");
  CHECK_FALSE(found->bare);

  fixtures::write_file(folder / "linked/.git", "gitdir: ../work/.git/worktrees/linked\n");
  fixtures::write_file(folder / "work/.git/worktrees/linked/HEAD", std::string(40, 'a') + "\n");
  fixtures::write_file(folder / "work/.git/worktrees/linked/commondir", "../..\n");
  found = find_repository(folder / "linked");
  REQUIRE(found.has_value());
  CHECK(found->head_branch.empty());
  CHECK(found->origin == "https://example.com/g/p.git");

  fixtures::write_file(folder / "bare.git/HEAD", "ref: refs/heads/main\n");
  fixtures::write_file(folder / "bare.git/config", "");
  fixtures::write_file(folder / "bare.git/objects/x", "");
  fixtures::write_file(folder / "bare.git/refs/x", "");
  found = find_repository(folder / "bare.git");
  REQUIRE(found.has_value());
  CHECK(found->bare);

  found = find_repository(folder.path());
  REQUIRE_FALSE(found.has_value());
  CHECK(has(found.error().message, "--repo"));
  CHECK_FALSE(find_repository(folder / "absent").has_value());
}
