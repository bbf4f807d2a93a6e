#include "config/job_json.hpp"

#include <doctest/doctest.h>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

using namespace flow_runner;
using namespace std::string_literals;

namespace {

/// A job with every member set to something else than its default.
Job full_job() {
  Job job;
  job.id = "20261122-143012-3f9a";
  job.source = "exec";
  job.job_url = "https://example.invalid/jobs/1";
  job.queued_at =
      std::chrono::system_clock::time_point(std::chrono::milliseconds(1'795'000'000'123));
  job.flow = {.image = {"node:22", {"/bin/sh"}, PullPolicy::never},
              .commands = {"echo hi", "bytes \xFF"},
              .variables = {"A_TOKEN"},
              .extensions = {.network = NetworkMode::proxy,
                             .network_allow = std::vector<std::string>{"agents"},
                             .network_deny = {"example.com:*"},
                             .timeout = std::chrono::milliseconds(1'500),
                             .idle_timeout = std::chrono::seconds(7),
                             .resources = {1ULL << 40, 1.5, 99, 7},
                             .setup = {"apt-get update"},
                             .publish_on_failure = "push",
                             .publish_message = "message"},
              .path = "flow.yml",
              .sha256 = "00"};
  job.repository = {.url = "/srv/repo\xFE",
                    .ref = "main",
                    .project_path = "a/b",
                    .default_branch = "trunk",
                    .include_work_tree = true,
                    .username = "oauth2",
                    .token = Secret("repository-token"),
                    .token_name = "GITLAB_TOKEN",
                    .depth = 20};
  job.publish.mode = PublishMode::local;
  job.publish.url = "/srv/other";
  job.publish.workload_ref = "workloads/1";
  job.publish.allow_refs = {"x/*"};
  job.publish.protected_paths = {};
  job.publish.skip_pipelines = false;
  job.publish.author = "a <a@b>";
  job.publish.committer = "c <c@d>";
  job.publish.message = "m";
  job.variables.push_back({.name = "A_TOKEN",
                           .value = Secret("secret-value"),
                           .masked = true,
                           .file = true,
                           .raw = false,
                           .origin = "--secret"});
  job.variables.push_back(
      {.name = "AI_FLOW_INPUT", .value = Secret("bytes \xFF\0 end"s), .origin = "x"});
  job.variables.push_back(
      {.name = "DSN", .value = Secret("db://x/?p=secret-value"), .origin = "x"});
  job.variables.push_back({.name = "REMOTE", .value = Secret("https://u:pw@h/"), .origin = "x"});
  job.limits = {.timeout = std::chrono::milliseconds(1),
                .grace = std::chrono::milliseconds(2),
                .pull_timeout = std::chrono::milliseconds(3),
                .memory_bytes = std::numeric_limits<std::uint64_t>::max(),
                .cpus = 0.5,
                .pids = 5,
                .tmp_bytes = 6,
                .log_bytes = 7,
                .disk_bytes = 8,
                .free_space_floor = 9};
  job.network = NetworkMode::proxy;
  job.network_policy.allow = {
      {.host = "example.com",
       .wildcard = true,
       .prefix_bits = {},
       .port = 443,
       .origin = "network.allow"},
      {.host = "10.0.0.0", .prefix_bits = 8, .port = 0, .any_address = true, .origin = "preset x"}};
  job.network_policy.deny = {
      {.host = "bad.example.com", .prefix_bits = {}, .port = 0, .origin = "--network-deny"}};
  job.network_policy.narrowed_to = std::vector<NetworkRule>{};
  job.pull_policy = PullPolicy::always;
  job.ca_file = "/etc/ca\xFF.pem";
  job.registry_auth_file = "/root/auth.json";
  job.masking_also = {"EXTRA"};
  job.masking_never = {"PUBLIC_KEY"};
  job.required_layers = {"cgroup_memory"};
  return job;
}

nlohmann::json through_text(const nlohmann::json& json) {
  return nlohmann::json::parse(json.dump());
}

}  // namespace

TEST_CASE("job json: with secrets, everything comes back, bytes that are not UTF-8 too") {
  const Job job = full_job();
  const nlohmann::json json = through_text(to_json(job, Secrets::include));
  CHECK(json.at("version") == 1);
  const auto read = job_from_json(json);
  REQUIRE(read.has_value());
  CHECK(read->id == job.id);
  CHECK(read->queued_at == job.queued_at);
  CHECK(read->flow == job.flow);
  CHECK(read->repository.url == job.repository.url);
  CHECK(read->repository.token.reveal() == "repository-token");
  CHECK(read->repository.depth == 20);
  CHECK(read->publish.protected_paths.empty());
  REQUIRE(read->variables.size() == job.variables.size());
  for (std::size_t i = 0; i < job.variables.size(); ++i) {
    CHECK(read->variables[i].name == job.variables[i].name);
    CHECK(read->variables[i].value.reveal() == job.variables[i].value.reveal());
    CHECK(read->variables[i].masked == job.variables[i].masked);
    CHECK(read->variables[i].file == job.variables[i].file);
    CHECK(read->variables[i].raw == job.variables[i].raw);
    CHECK(read->variables[i].origin == job.variables[i].origin);
  }
  CHECK(read->ca_file == job.ca_file);
  CHECK(read->network_policy == job.network_policy);
  // Whatever has no line of its own above.
  CHECK(to_json(*read, Secrets::include) == to_json(job, Secrets::include));
}

TEST_CASE("job json: a job of defaults comes back as one") {
  Job job;
  job.id = "x";
  const auto read = job_from_json(through_text(to_json(job, Secrets::include)));
  REQUIRE(read.has_value());
  CHECK(to_json(*read, Secrets::include) == to_json(job, Secrets::include));
  const auto least = job_from_json({{"version", 1}, {"id", "x"}, {"later", "unknown"}});
  REQUIRE(least.has_value());
  CHECK(least->network_policy == NetworkPolicy());
  CHECK(least->limits.pids == JobLimits{}.pids);
  CHECK(least->publish.allow_refs == PublishSpec{}.allow_refs);
}

TEST_CASE("job json: without secrets, no secret is in the text, in no form of it") {
  const Job job = full_job();
  const nlohmann::json json = to_json(job, Secrets::omit);
  const std::string text = json.dump();
  CHECK(text.find("repository-token") == std::string::npos);
  CHECK(text.find("secret-value") == std::string::npos);
  CHECK(text.find("u:pw@") == std::string::npos);
  CHECK(json.at("omitted_variables") == nlohmann::json({"A_TOKEN", "DSN", "REMOTE"}));
  const auto read = job_from_json(json);
  REQUIRE(read.has_value());
  CHECK(read->repository.token.empty());
  REQUIRE(read->variables.size() == 1);
  CHECK(read->variables[0].name == "AI_FLOW_INPUT");
}

TEST_CASE("job json: a wrong value is refused and named") {
  struct Row {
    std::string patch;
    std::string named;
  };
  const Row rows[] = {
      {R"({"version": 2})", "version is 2"},
      {R"({"version": "1"})", "version"},
      {R"({"id": "../x"})", "id"},
      {R"({"id": ""})", "id"},
      {R"({"id": "A"})", "id"},
      {R"({"id": 5})", "id"},
      {R"({"queued_at_ms": -1})", "queued_at_ms"},
      {R"({"queued_at_ms": 18446744073709551615})", "queued_at_ms"},
      {R"({"flow": []})", "flow"},
      {R"({"flow": {"commands": "x"}})", "flow.commands"},
      {R"({"flow": {"commands": [1]}})", "flow.commands"},
      {R"({"flow": {"image": {"pull_policy": "x"}}})", "flow.image.pull_policy"},
      {R"({"flow": {"extensions": {"resources": {"cpus": -1}}}})",
       "flow.extensions.resources.cpus"},
      {R"({"repository": {"depth": -1}})", "repository.depth"},
      {R"({"repository": {"depth": 2147483648}})", "repository.depth"},
      {R"({"repository": {"url": {"base64": "?"}}})", "repository.url"},
      {R"({"repository": {"ref": {}}})", "repository.ref"},
      {R"({"repository": {"url": null}})", "repository.url"},
      {R"({"publish": {"mode": "remotely"}})", "publish.mode"},
      {R"({"variables": {}})", "variables"},
      {R"({"variables": [{"name": "A"}, {"masked": 1}]})", "variables[1].masked"},
      {R"({"variables": [5]})", "variables[0]"},
      {R"({"limits": {"timeout_ms": 1e300}})", "limits.timeout_ms"},
      {R"({"limits": {"timeout_ms": 4000000000001}})", "limits.timeout_ms"},
      {R"({"limits": {"memory_bytes": -1}})", "limits.memory_bytes"},
      {R"({"network": "bridge"})", "network"},
      {R"({"network_policy": []})", "network_policy"},
      {R"({"network_policy": {"allow": [{"port": 443}]}})", "network_policy.allow"},
      {R"({"network_policy": {"allow": [{"host": "a", "port": 65536}]}})", "network_policy.allow"},
      {R"({"network_policy": {"deny": [{"host": "a", "wildcard": 1}]}})", "network_policy.deny"},
      {R"({"network_policy": {"narrowed_to": "x"}})", "network_policy.narrowed_to"},
      {R"({"ca_file": "a\u0000b"})", "ca_file"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.patch);
    nlohmann::json json = to_json(full_job(), Secrets::include);
    json.merge_patch(nlohmann::json::parse(row.patch));
    // merge_patch reads null as "remove", which is no wrong value.
    if (row.patch.find("null") != std::string::npos) json["repository"]["url"] = nullptr;
    const auto job = job_from_json(json);
    REQUIRE(job.has_error());
    CHECK(job.error().code == ErrorCode::invalid_input);
    CHECK(job.error().message.find(row.named) != std::string::npos);
  }
  for (const char* text : {"null", "[]", "5", "\"x\"", "{}"}) {
    CAPTURE(text);
    CHECK(job_from_json(nlohmann::json::parse(text)).has_error());
  }
}
