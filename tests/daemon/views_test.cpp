#include <doctest/doctest.h>
#include <filesystem>

#include "daemon/cli/local_repository.hpp"
#include "daemon/cli/plan.hpp"
#include "daemon/cli/publish_target.hpp"
#include "daemon/cli/result_view.hpp"
#include "daemon/cli/usage.hpp"
#include "executor/changes.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace flow_runner::cli;

namespace {

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

Job planned_job() {
  Job job;
  job.flow.path = "flow.yaml";
  job.flow.image.name = "debian:12";
  job.flow.commands = {"echo one\necho two", "run \x1b[2J agent"};
  job.flow.variables = {"MY_KEY", "PLAIN"};
  job.repository.url = "/home/me/project";
  job.publish.workload_ref = "workloads/abc";
  job.variables = {
      {.name = "MY_KEY", .value = Secret("hunter2-hunter2"), .masked = true, .origin = "--secret"},
      {.name = "PLAIN", .value = Secret(std::string(1000, 'x')), .origin = "--var"}};
  return job;
}

JobResult kept_result() {
  JobResult result;
  result.id = "20261122-143012-3f9a01";
  result.status = JobStatus::success;
  result.cause = JobCause::none;
  result.timings.total_ms = 12'000;
  result.changes = {{"a\x1b[2J.txt", ChangeStatus::added, false},
                    {"b\xff", ChangeStatus::modified, false}};
  result.base = "base";
  result.commit = "commit";
  result.bundle = "/s/jobs/x/changes.bundle";
  return result;
}

}  // namespace

TEST_CASE("plan: shows what would run, secrets masked, no control characters") {
  const Job job = planned_job();
  const std::string text = plan_text(job, resolve_variables(job), {"a warning"});
  CHECK(has(text, "debian:12"));
  CHECK(has(text, "$ echo one⏎echo two"));
  CHECK(has(text, "MY_KEY=[MASKED]   (--secret)"));
  CHECK(has(text, "(1000 bytes)   (--var)"));
  CHECK(has(text, "memory 4GiB, cpus all, pids 2048, disk 10GiB, timeout 2h"));
  CHECK(has(text, "none (dry run)"));
  CHECK(has(text, "warning: a warning"));
  CHECK_FALSE(has(text, "hunter2"));
  CHECK_FALSE(has(text, "\x1b"));
}

TEST_CASE("plan: the network's rules are shown with who asked for them") {
  Job job = planned_job();
  job.network = NetworkMode::proxy;
  CHECK(has(plan_text(job, {}, {}), "network     proxy: nothing is allowed; --network-allow"));
  const auto rule = [](const char* host, const char* origin) {
    return NetworkRule{.host = host, .prefix_bits = {}, .port = 443, .origin = origin};
  };
  job.network_policy.allow = {rule("a.example.com", "preset agents")};
  job.network_policy.deny = {rule("b.example.com", "--network-deny")};
  job.network_policy.narrowed_to = {rule("c.example.com", "x-flow-runner.network")};
  const std::string text = plan_text(job, {}, {});
  CHECK(has(text, "  allow a.example.com:443   (preset agents)\n"));
  CHECK(has(text, "  deny  b.example.com:443   (--network-deny)\n"));
  CHECK(has(text, "  flow  c.example.com:443   (x-flow-runner.network)\n"));
}

TEST_CASE("plan: the target of a push is a full ref at an address") {
  Job job = planned_job();
  job.publish.mode = PublishMode::remote;
  job.publish.url = "https://example.com/g/p";
  CHECK(has(plan_text(job, resolve_variables(job), {}),
            "refs/heads/workloads/abc at https://example.com/g/p"));
}

TEST_CASE("result view: what an agent named cannot steer the terminal") {
  NetworkSummary network;
  network.hosts = {{.host = "evil\x1b[2J:443", .denied = 2, .reason = "no\nlines"}};
  const std::string text = result_details(kept_result(), network, {});
  CHECK(has(text, "no lines"));
  CHECK_FALSE(has(text, "\x1b"));
  CHECK(has(text, "\"b\\377\""));
  CHECK(has(text, "success"));
}

TEST_CASE("result view: phases, network and what to do next are shown") {
  JobResult result = kept_result();
  result.network = "proxy";
  result.timings.image_ms = 492;
  result.timings.script_ms = 4000;
  NetworkSummary network;
  network.hosts = {
      {.host = "a.example:443", .connections = 1, .bytes_up = 10, .bytes_down = 2048, .reason = ""},
      {.host = "b.example:443", .denied = 3, .reason = "not in network.allow"}};
  network.total = {
      .host = "", .connections = 1, .bytes_up = 10, .bytes_down = 2048, .denied = 3, .reason = ""};
  const JobWork work = job_work(result, nullptr, " --state-dir /s");
  const std::string text = result_details(result, network, work);
  CHECK(has(text, "  image     492ms\n"));
  CHECK(has(text, "  script    4.0s\n"));
  CHECK_FALSE(has(text, "publish   "));
  CHECK(has(text, "proxy: 1 connection, 10 B up, 2.0 KiB down; 3 denied, 0 failed\n"));
  CHECK(has(text, "  reached   a.example:443  1 connection, 10 B up, 2.0 KiB down\n"));
  CHECK(has(text, "  denied    b.example:443  3 times: not in network.allow\n"));
  CHECK(has(text, "apply:  flow-runner apply 20261122-143012-3f9a01 --state-dir /s\n"));
  CHECK(has(text, "publish:  flow-runner publish 20261122-143012-3f9a01 --state-dir /s\n"));
}

TEST_CASE("result view: the JSON is the result with network and work beside it") {
  JobResult result = kept_result();
  const auto document = result_document(result, std::nullopt, job_work(result, nullptr, ""));
  CHECK(document["id"] == result.id);
  CHECK(document["network_use"].is_null());
  CHECK(document["work"]["where"] == "bundle");
  CHECK(document["work"]["steps"][1]["command"] == "flow-runner apply " + result.id);
}

TEST_CASE("job work: pushed work is fetched, refused work needs the person's own word") {
  JobResult result = kept_result();
  Job job = planned_job();
  job.publish.url = "/srv/my project.git";
  result.pushed_ref = "refs/heads/workloads/x";
  JobWork work = job_work(result, &job, "");
  CHECK(work.where == "pushed");
  CHECK(work.steps.front().command == "git fetch '/srv/my project.git' refs/heads/workloads/x");
  result = kept_result();
  result.cause = JobCause::publish_refused;
  work = job_work(result, &job, "");
  CHECK(work.steps.back().command == "flow-runner publish " + result.id + " --override-guard");
  result = kept_result();
  result.bundle.clear();
  CHECK(job_work(result, &job, "").where == "nothing");
}

TEST_CASE("job work: a kept workspace is told with the commands that look at it and remove it") {
  const fixtures::TemporaryDirectory folder;
  const JobDirectory directory(folder.path());
  const auto upper = directory.overlay() / "workspace/upper";
  JournalEntry made, kept;
  made.state = "workspace";
  WorkspaceRecord record;
  record.base = std::string(40, 'a');
  record.mirror = "/s/mirror";
  record.ref = "refs/heads/workloads/x";
  record.snapshot_layers = {"/s/base/tree", "/s/delta/tree"};
  made.data = to_json(record);
  kept.state = "workspace_kept";
  kept.data = {{"path", upper.string()}, {"whole", false}, {"only_copy", false}};
  CHECK_FALSE(kept_workspace(directory, {made, kept}).has_value());
  std::filesystem::create_directories(upper);
  CHECK_FALSE(kept_workspace(directory, {made}).has_value());
  const auto found = kept_workspace(directory, {made, kept});
  REQUIRE(found.has_value());
  CHECK(found->root.empty());
  CHECK(has(found->mount, "lowerdir=" + upper.string() + ":"));
  CHECK(has(found->mount, "/workspace/git:/s/delta/tree:/s/base/tree"));
  const JobWork work = job_work(kept_result(), nullptr, "", found);
  CHECK(work.steps.back().command == "flow-runner prune --workspace " + kept_result().id);
  CHECK(has(result_details(kept_result(), std::nullopt, work), "workspace " + upper.string()));
  kept.data["only_copy"] = true;
  const JobWork only =
      job_work(kept_result(), nullptr, "", kept_workspace(directory, {made, kept}));
  CHECK_FALSE(has(only.steps.back().command, "prune"));
}

TEST_CASE("result view: headlines") {
  JobResult result = kept_result();
  CHECK(result_headline(result) == "success in 12.0s, 2 files changed");
  result.pushed_ref = "refs/heads/workloads/x";
  result.pushed_sha = std::string(40, 'a');
  CHECK(result_headline(result) ==
        "success in 12.0s, 2 files changed, pushed to refs/heads/workloads/x (aaaaaaaaaaaa)");
  JobResult failed;
  failed.cause = JobCause::script_failure;
  failed.exit_code = 3;
  failed.timings.total_ms = 0;
  CHECK(has(result_headline(failed), "failed (script_failure, exit code 3)"));
  CHECK(has(result_headline(failed), "nothing changed"));
}

TEST_CASE("result view: ages") {
  using namespace std::chrono_literals;
  CHECK(age_text(-5s) == "just now");
  CHECK(age_text(61s) == "1 minute ago");
  CHECK(age_text(5h) == "5 hours ago");
  CHECK(age_text(49h) == "2 days ago");
}

TEST_CASE("usage: near options are proposed and values are not repeated") {
  const std::vector<std::string> known = {"--push", "--push-local", "--secret", "--network"};
  CHECK(unexpected_words({"--pusj"}, known) == "there is no option --pusj; did you mean --push?");
  CHECK(unexpected_words({"--secrets=hunter2"}, known) ==
        "there is no option --secrets; did you mean --secret?");
  CHECK(unexpected_words({"--frobnicate"}, known) == "there is no option --frobnicate");
  CHECK_FALSE(has(unexpected_words({"hunter2", "x"}, known), "hunter2"));
  CHECK(nearest("exce", {"exec", "list"}) == "exec");
  CHECK(nearest("zzzz", {"exec", "list"}).empty());
}

TEST_CASE("local repository: a configuration value is read as git reads it") {
  const std::string config =
      "[core]\n\tbare = false\n\turl = wrong\n"
      "[remote \"Origin\"]\n\turl = wrong\n"
      "[remote \"origin\"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
      "\tURL = \"https://example.com/a b.git\" ; comment\n"
      "[remote \"other\"]\n\turl = other\n";
  CHECK(config_value(config, "remote \"origin\"", "url") == "https://example.com/a b.git");
  CHECK(config_value(config, "remote \"other\"", "url") == "other");
  CHECK(config_value(config, "remote \"none\"", "url").empty());
  CHECK(config_value("[remote \"origin\"\nurl", "remote \"origin\"", "url").empty());
  CHECK(config_value("[remote \"origin\"]\nurl = a\nurl = b # last wins", "remote \"origin\"",
                     "url") == "b");
}

TEST_CASE("publish target: the job's, or the one that is named") {
  Job job = planned_job();
  job.publish.mode = PublishMode::remote;
  job.publish.url = "https://example.com/g/p";
  auto target = publish_target(job, "", "", TokenGiven::no);
  REQUIRE(target.has_value());
  CHECK(target->spec.mode == PublishMode::remote);
  CHECK(target->spec.url == "https://example.com/g/p");
  target = publish_target(job, "https://example.com/other", "duo/x", TokenGiven::no);
  REQUIRE(target.has_value());
  CHECK(target->spec.url == "https://example.com/other");
  CHECK(target->spec.workload_ref == "duo/x");
  CHECK_FALSE(publish_target(job, "https://u:p@example.com/x", "", TokenGiven::no).has_value());
}

TEST_CASE("publish guard: what was refused, or never looked at, needs an explicit word") {
  const Job job = planned_job();
  JobResult result = kept_result();
  JournalEntry looked_at;
  looked_at.state = "kept";
  looked_at.data = {{"refusal", ""}};
  CHECK(guard_objection(job, result, {looked_at}).empty());
  CHECK(has(guard_objection(job, result, {}), "not known"));
  result.cause = JobCause::publish_refused;
  result.message = "a secret was found";
  CHECK(guard_objection(job, result, {}) == "a secret was found");
  result = kept_result();
  JournalEntry kept;
  kept.state = "kept";
  kept.data = {{"refusal", "the value of KEY is in a.txt"}};
  CHECK(guard_objection(job, result, {kept}) == "the value of KEY is in a.txt");
  result.cause = JobCause::runner_interrupted;
  CHECK(has(guard_objection(job, result, {}), "never looked through"));
  result = kept_result();
  result.changes.push_back({".gitlab-ci.yml", ChangeStatus::modified, false});
  CHECK(has(guard_objection(job, result, {looked_at}), ".gitlab-ci.yml"));
}
