#include "daemon/cli/exec_job.hpp"

#include <algorithm>
#include <doctest/doctest.h>

#include "config/variables.hpp"

using namespace flow_runner;
using namespace flow_runner::cli;

namespace {

ExecInputs inputs_with(std::vector<std::string> listed) {
  ExecInputs inputs;
  inputs.flow.image.name = "debian:12";
  inputs.flow.commands = {"true"};
  inputs.flow.variables = std::move(listed);
  inputs.input = "please mend";
  inputs.context = "{}";
  inputs.now = std::chrono::system_clock::from_time_t(1'795'357'812);
  inputs.chance = 0x3f9a'0123'4567'89abULL;
  return inputs;
}

ExecInputs local_inputs(std::vector<std::string> listed = {}) {
  ExecInputs inputs = inputs_with(std::move(listed));
  LocalRepository local;
  local.folder = "/home/me/My Project";
  local.head_branch = "main";
  local.default_branch = "main";
  inputs.local = local;
  return inputs;
}

ExecInputs remote_inputs(std::vector<std::string> listed = {}) {
  return inputs_with(std::move(listed));
}

ExecOptions to_remote() {
  ExecOptions options;
  options.repo = "https://gitlab.example:8443/group/sub/project.git";
  options.event = "mention";
  return options;
}

ExecOptions with_secret(ExecOptions options, const std::string& name, ExecInputs& inputs) {
  options.secrets.push_back({name, {}});
  inputs.secrets.push_back({name, Secret("value-of-" + name), "--secret, from the environment"});
  return options;
}

std::string value_of(const Job& job, std::string_view name) {
  for (auto it = job.variables.rbegin(); it != job.variables.rend(); ++it)
    if (it->name == name) return std::string(it->value.reveal());
  return "(none)";
}

bool warns(const ExecJob& job, std::string_view text) {
  return std::any_of(job.warnings.begin(), job.warnings.end(), [&](const std::string& warning) {
    return warning.find(text) != std::string::npos;
  });
}

std::string refusal(const ExecOptions& options, const ExecInputs& inputs) {
  const auto job = make_exec_job(options, inputs);
  return job ? "" : job.error().message;
}

}  // namespace

TEST_CASE("exec job: ids sort by time and keep to their alphabet") {
  const auto at = [](std::time_t t) { return std::chrono::system_clock::from_time_t(t); };
  CHECK(make_job_id(at(0), 0xabcdef0000000000ULL) == "19700101-000000-abcdef");
  CHECK(make_job_id(at(1'000'000'000), 0) < make_job_id(at(1'000'000'001), 0));
}

TEST_CASE("exec job: a folder is a dry run from HEAD and the uncommitted files") {
  ExecOptions options;
  options.event = "mention";
  const auto prepared = make_exec_job(options, local_inputs());
  REQUIRE(prepared.has_value());
  const Job& job = prepared->job;
  CHECK(job.repository.url == "/home/me/My Project");
  CHECK(job.repository.include_work_tree);
  CHECK(job.repository.project_path == "local/My-Project");
  CHECK(job.publish.mode == PublishMode::none);
  CHECK(job.publish.workload_ref.size() == std::string("workloads/").size() + 11);
  CHECK(job.network == NetworkMode::proxy);
  CHECK(job.network_policy == NetworkPolicy());
  CHECK(value_of(job, "AI_FLOW_INPUT") == "please mend");
  CHECK(value_of(job, "AI_FLOW_CONTEXT") == "{}");
  CHECK(value_of(job, "AI_FLOW_EVENT") == "mention");
  CHECK(value_of(job, "CI_PROJECT_DIR") == "/builds/local/My-Project");
  CHECK(value_of(job, "CI_DEFAULT_BRANCH") == "main");
  CHECK(value_of(job, "CI_WORKLOAD_REF") == job.publish.workload_ref);
  CHECK(value_of(job, "CI_JOB_ID") == job.id);
  CHECK(value_of(job, "CI_PROJECT_URL") == "(none)");
}

TEST_CASE("exec job: an address gives project, host and target") {
  ExecOptions options = to_remote();
  options.publish = PublishMode::remote;
  ExecInputs inputs = remote_inputs({"GITLAB_TOKEN_X"});
  options = with_secret(options, "GITLAB_TOKEN_X", inputs);
  const auto prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  const Job& job = prepared->job;
  CHECK(job.repository.project_path == "group/sub/project");
  CHECK_FALSE(job.repository.include_work_tree);
  CHECK(job.publish.url == job.repository.url);
  CHECK(value_of(job, "AI_FLOW_GITLAB_HOSTNAME") == "gitlab.example:8443");
  CHECK(value_of(job, "CI_PROJECT_NAMESPACE") == "group/sub");
  CHECK(value_of(job, "CI_PROJECT_NAME") == "project");
  CHECK(job.repository.token_name == "GITLAB_TOKEN_X");
  CHECK(value_of(job, "GITLAB_TOKEN_X") == "value-of-GITLAB_TOKEN_X");
}

TEST_CASE("exec job: which secret is the git token") {
  const std::vector<std::string> listed = {"OTHER", "GITLAB_TOKEN_B", "GITLAB_TOKEN_A"};
  const auto token = [&](const std::vector<std::string>& given, const std::string& from) {
    ExecInputs inputs = remote_inputs(listed);
    ExecOptions options = to_remote();
    options.git_token_from = from;
    for (const std::string& name : given) options = with_secret(options, name, inputs);
    const auto prepared = make_exec_job(options, inputs);
    REQUIRE(prepared.has_value());
    return prepared->job.repository.token_name;
  };
  CHECK(token({}, "") == "");
  CHECK(token({"OTHER"}, "") == "");
  CHECK(token({"GITLAB_TOKEN"}, "") == "GITLAB_TOKEN");
  CHECK(token({"GITLAB_TOKEN", "GITLAB_TOKEN_A", "GITLAB_TOKEN_B"}, "") == "GITLAB_TOKEN_B");
  CHECK(token({"GITLAB_TOKEN", "GITLAB_TOKEN_C"}, "") == "GITLAB_TOKEN");
  CHECK(token({"GITLAB_TOKEN", "OTHER"}, "OTHER") == "OTHER");
}

TEST_CASE("exec job: a dry run does not give the script the git token unless told to") {
  ExecInputs inputs = remote_inputs({"GITLAB_TOKEN_A", "KEY"});
  ExecOptions options = with_secret(to_remote(), "GITLAB_TOKEN_A", inputs);
  options = with_secret(options, "KEY", inputs);
  auto prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  CHECK(value_of(prepared->job, "GITLAB_TOKEN_A") == "(none)");
  CHECK(value_of(prepared->job, "KEY") == "value-of-KEY");
  CHECK(prepared->job.repository.token.reveal() == "value-of-GITLAB_TOKEN_A");
  CHECK(warns(*prepared, "--with-git-token"));
  options.git_token = GitToken::injected;
  prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  CHECK(value_of(prepared->job, "GITLAB_TOKEN_A") == "value-of-GITLAB_TOKEN_A");
}

TEST_CASE("exec job: an unlisted name of a predefined kind does not override") {
  ExecInputs inputs = local_inputs({"AI_FLOW_EVENT"});
  ExecOptions options;
  options.event = "mention";
  options.variables = {{"AI_FLOW_INPUT", "evil"}, {"CI_PROJECT_DIR", "/"}, {"AI_FLOW_EVENT", "x"}};
  const auto prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  CHECK(value_of(prepared->job, "AI_FLOW_INPUT") == "please mend");
  CHECK(value_of(prepared->job, "CI_PROJECT_DIR") == "/builds/local/My-Project");
  CHECK(value_of(prepared->job, "AI_FLOW_EVENT") == "x");
  CHECK(warns(*prepared, "AI_FLOW_INPUT"));
  CHECK(warns(*prepared, "CI_PROJECT_DIR"));
}

TEST_CASE("exec job: an unlisted secret does not reach the script, and is masked all the same") {
  ExecInputs inputs = local_inputs();
  const ExecOptions options = with_secret({}, "MY_KEY", inputs);
  const auto prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  const auto resolved = resolve_variables(prepared->job);
  for (const auto& variable : resolved.environment) CHECK(variable.name != "MY_KEY");
  CHECK(std::any_of(resolved.secrets.begin(), resolved.secrets.end(),
                    [](const MaskedSource& secret) { return secret.name == "MY_KEY"; }));
  CHECK_FALSE(resolved.warnings.empty());
}

TEST_CASE("exec job: pushing a folder goes to its origin") {
  struct Row {
    std::string origin;
    bool token;
    std::string url, project, refused;
  };
  const std::vector<Row> table = {
      {"https://gitlab.example/g/p.git", false, "https://gitlab.example/g/p.git", "g/p", ""},
      {"git@gitlab.example:g/p.git", true, "https://gitlab.example/g/p.git", "g/p", ""},
      {"git@gitlab.example:g/p.git", false, "", "", "origin"},
      {"/srv/git/p.git", false, "/srv/git/p.git", "local/My-Project", ""},
      {"../p.git", false, "/home/me/p.git", "local/My-Project", ""},
      {"", false, "", "", "no remote named origin"},
  };
  for (const Row& row : table) {
    CAPTURE(row.origin);
    ExecInputs inputs = local_inputs();
    inputs.local->origin = row.origin;
    ExecOptions options;
    options.publish = PublishMode::remote;
    if (row.token) options = with_secret(options, "GITLAB_TOKEN", inputs);
    const auto prepared = make_exec_job(options, inputs);
    CHECK(prepared.has_value() == row.refused.empty());
    if (!prepared) {
      CHECK(prepared.error().message.find(row.refused) != std::string::npos);
      continue;
    }
    CHECK(prepared->job.publish.url == row.url);
    CHECK(prepared->job.repository.project_path == row.project);
    CHECK(prepared->job.repository.url == "/home/me/My Project");
    CHECK_FALSE(prepared->job.repository.include_work_tree);
  }
}

TEST_CASE("exec job: an ssh origin gives a dry run its project's name") {
  ExecInputs inputs = local_inputs();
  inputs.local->origin = "git@gitlab.example:g/p.git";
  const auto prepared = make_exec_job({}, inputs);
  REQUIRE(prepared.has_value());
  CHECK(prepared->job.repository.project_path == "g/p");
}

TEST_CASE("exec job: a bare repository is its own target") {
  ExecInputs inputs = local_inputs();
  inputs.local->bare = true;
  inputs.local->folder = "/srv/git/p.git";
  ExecOptions options;
  options.publish = PublishMode::remote;
  const auto prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  CHECK(prepared->job.publish.url == "/srv/git/p.git");
  CHECK(prepared->job.repository.project_path == "local/p");
  CHECK_FALSE(prepared->job.repository.include_work_tree);
}

TEST_CASE("exec job: a target that must not be written is refused before anything starts") {
  for (const char* ref : {"main", "refs/heads/main", "release/1", "refs/tags/v1", "master"}) {
    CAPTURE(ref);
    ExecOptions options;
    options.publish = PublishMode::local;
    options.workload_ref = ref;
    CHECK_FALSE(refusal(options, local_inputs()).empty());
    options.publish = PublishMode::none;
    CHECK(refusal(options, local_inputs()).empty());
  }
}

TEST_CASE("exec job: options that need a folder are refused for an address") {
  ExecOptions options = to_remote();
  options.publish = PublishMode::local;
  CHECK(refusal(options, remote_inputs()).find("--push-local") != std::string::npos);
  options.publish = PublishMode::none;
  options.dirty = DirtyTree::included;
  CHECK(refusal(options, remote_inputs()).find("--include-uncommitted") != std::string::npos);
  options = to_remote();
  options.repo = "https://user:hunter2@gitlab.example/g/p";
  const std::string message = refusal(options, remote_inputs());
  CHECK_FALSE(message.empty());
  CHECK(message.find("hunter2") == std::string::npos);
}

TEST_CASE("exec job: a flow can only narrow") {
  ExecInputs inputs = local_inputs();
  inputs.flow.extensions.resources.memory_bytes = 1U << 30;
  inputs.flow.extensions.resources.cpus = 2;
  inputs.flow.extensions.resources.pids = 1'000'000;
  inputs.flow.extensions.resources.disk_bytes = 2ULL << 30;
  inputs.flow.extensions.timeout = std::chrono::hours(10);
  inputs.flow.extensions.network = NetworkMode::host;
  ExecOptions options;
  options.timeout = std::chrono::minutes(5);
  auto prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  CHECK(prepared->job.limits.memory_bytes == 1U << 30);
  CHECK(prepared->job.limits.cpus == 2);
  CHECK(prepared->job.limits.pids == 2048);
  CHECK(prepared->job.limits.disk_bytes == 2ULL << 30);
  CHECK(prepared->job.limits.timeout == std::chrono::minutes(5));
  CHECK(prepared->job.network == NetworkMode::proxy);
  CHECK(warns(*prepared, "--network host"));

  inputs.flow.extensions.network = NetworkMode::none;
  options.network = NetworkMode::host;
  prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  CHECK(prepared->job.network == NetworkMode::none);
  CHECK(warns(*prepared, "no effect"));
}

TEST_CASE("exec job: presets are expanded, and what the flow lacks is named") {
  ExecInputs inputs = remote_inputs({"CI_SERVER_URL"});
  inputs.registries = {{.host = "npm.example.com",
                        .prefix_bits = {},
                        .port = 443,
                        .any_address = true,
                        .origin = "preset registries"}};
  inputs.flow.extensions.network = NetworkMode::proxy;
  inputs.flow.extensions.network_allow = {"registries", "x.example.com:443", "y.example.com:443"};
  ExecOptions options = to_remote();
  options.variables = {{"CI_SERVER_URL", "https://ci.example.com"}};
  options.network_allow = {"gitlab", "registries", "*.example.com:443"};
  auto prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  std::string allowed;
  for (const NetworkRule& rule : prepared->job.network_policy.allow)
    allowed += to_string(rule) + " ";
  CHECK(allowed == "gitlab.example:8443 ci.example.com:443 npm.example.com:443 *.example.com:443 ");
  REQUIRE(prepared->job.network_policy.narrowed_to.has_value());
  CHECK(prepared->job.network_policy.narrowed_to->size() == 3);
  CHECK_FALSE(warns(*prepared, "not given"));
  options.network_allow = {"x.example.com:443"};
  prepared = make_exec_job(options, inputs);
  REQUIRE(prepared.has_value());
  CHECK(warns(*prepared, "to give them: --network-allow y.example.com:443"));
  CHECK_FALSE(warns(*prepared, "--network-allow x.example.com:443"));
  CHECK(names_registries({}, inputs.flow));
  CHECK_FALSE(names_registries(options, Flow()));
}

TEST_CASE("exec job: an anonymous push is warned of") {
  ExecOptions options = to_remote();
  options.publish = PublishMode::remote;
  const auto prepared = make_exec_job(options, remote_inputs());
  REQUIRE(prepared.has_value());
  CHECK(warns(*prepared, "--secret GITLAB_TOKEN"));
}
