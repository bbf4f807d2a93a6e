#include "executor/job_result.hpp"

#include <doctest/doctest.h>

#include "executor/timestamp.hpp"
#include "tests/executor/json_schema.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using nlohmann::json;

namespace {

json schema() { return json::parse(fixtures::slurp(JOB_RESULT_SCHEMA)); }

JobResult full_result() {
  JobResult result;
  result.id = "20261122-143012-3f9a01";
  result.status = JobStatus::failed;
  result.cause = JobCause::publish_failure;
  result.message = "the remote refused the push";
  result.exit_code = 0;
  result.started_at = *parse_timestamp("2026-11-22T14:30:12.345Z");
  result.finished_at = *parse_timestamp("2026-11-22T14:31:00Z");
  result.version = "0.1.0";
  result.host = "host";
  result.source = "exec";
  result.project = "group/project";
  result.job_url = "https://gitlab.example/group/project/-/jobs/1";
  result.flow_path = ".gitlab/duo/flows/a.yaml";
  result.flow_sha256 = std::string(64, 'a');
  result.image_name = "docker.io/library/debian:12";
  result.image_digest = "sha256:" + std::string(64, 'b');
  result.base = std::string(40, 'c');
  result.changes = {{"a.txt", ChangeStatus::added, false},
                    {"b\xff.txt", ChangeStatus::deleted, false},
                    {"\"quoted\" \n", ChangeStatus::type_changed, false}};
  result.commit = std::string(40, 'd');
  result.pushed_ref = "refs/heads/workloads/x";
  result.pushed_sha = std::string(40, 'e');
  result.bundle = "/state/jobs/x/changes.bundle";
  result.patch = "/state/jobs/x/changes.patch";
  result.log = "/state/jobs/x/log";
  result.log_bytes = 5'000'000'000;
  result.log_truncated = true;
  result.warnings = {"one", "two"};
  result.token_used = "GITLAB_TOKEN";
  result.network = "none";
  result.layers = {"user namespace", "seccomp"};
  result.missing_layers = {"cgroup_memory"};
  result.timings = {.queue_ms = 1,
                    .image_ms = 2,
                    .workspace_ms = 3,
                    .sandbox_ms = 4,
                    .script_ms = 5,
                    .changes_ms = 6,
                    .publish_ms = 7,
                    .total_ms = 28};
  return result;
}

}  // namespace

TEST_CASE("job result: full and empty results keep to the schema") {
  CHECK(schema_violations(schema(), to_json(full_result())) == std::vector<std::string>());
  JobResult empty;
  empty.id = "a";
  CHECK(schema_violations(schema(), to_json(empty)) == std::vector<std::string>());
  CHECK(to_json(empty)["pushed"].is_null());
  CHECK(to_json(empty)["exit_code"].is_null());
}

TEST_CASE("job result: every cause is in the schema, has a name of its own, and comes back") {
  for (int i = 0; i <= static_cast<int>(JobCause::system_failure); ++i) {
    JobResult result;
    result.id = "a";
    result.cause = static_cast<JobCause>(i);
    CAPTURE(to_string(result.cause));
    CHECK(schema_violations(schema(), to_json(result)).empty());
    CHECK(job_cause_from(to_string(result.cause)) == result.cause);
  }
  CHECK_FALSE(job_cause_from("whatever").has_value());
}

TEST_CASE("job result: the schema checker finds what does not belong") {
  json document = to_json(full_result());
  document["secret"] = "x";
  document["changes"][0]["status"] = "X";
  document.erase("id");
  document["exit_code"] = "0";
  CHECK(schema_violations(schema(), document).size() == 4);
}

TEST_CASE("job result: what is written is read back") {
  const JobResult written = full_result();
  const auto read = job_result_from_json(json::parse(to_json(written).dump()));
  REQUIRE(read.has_value());
  CHECK(to_json(*read) == to_json(written));
  CHECK(read->changes[1].path == "b\xff.txt");
  CHECK(read->changes[2].path == "\"quoted\" \n");
  CHECK(read->log_bytes == 5'000'000'000);
}

TEST_CASE("job result: a path that is not UTF-8 is quoted and marked") {
  const json document = to_json(full_result());
  CHECK(document["changes"][0] == json{{"path", "a.txt"}, {"status", "A"}});
  CHECK(document["changes"][1] ==
        json{{"path", "\"b\\377.txt\""}, {"quoted", true}, {"status", "D"}});
}

TEST_CASE("job result: bytes that are not UTF-8 in messages do not stop it from being written") {
  JobResult result = full_result();
  result.message = "bad \xff byte";
  result.warnings = {"\xc3"};
  const std::string text = to_json(result).dump();
  CHECK(text.find("bad \xEF\xBF\xBD byte") != std::string::npos);
}

TEST_CASE("job result: a wrong field is named") {
  const std::vector<std::tuple<const char*, json, const char*>> table = {
      {"/id", json(1), "id must be a string"},
      {"/status", json("done"), "status must be"},
      {"/cause", json(nullptr), "cause must be"},
      {"/started_at", json("yesterday"), "started_at must be a time"},
      {"/changes/0/status", json("Q"), "changes[].status must be"},
      {"/changes", json("all"), "changes must be a list"},
      {"/log", json(7), "log. must be an object"},
      {"/timings/total_ms", json("long"), "timings.total_ms must be an integer"},
      {"/schema", json(2), "schema must be 1"},
  };
  for (const auto& [pointer, value, expected] : table) {
    json document = to_json(full_result());
    document[json::json_pointer(pointer)] = value;
    const auto read = job_result_from_json(document);
    CAPTURE(pointer);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == ErrorCode::invalid_input);
    CHECK(read.error().message.find(expected) != std::string::npos);
  }
  CHECK_FALSE(job_result_from_json(json::array()).has_value());
}

TEST_CASE("job result: exit codes of exec follow the page") {
  const std::vector<std::pair<JobCause, int>> table = {
      {JobCause::script_failure, 1},     {JobCause::timeout, 1},
      {JobCause::idle_timeout, 1},       {JobCause::publish_refused, 1},
      {JobCause::publish_failure, 1},    {JobCause::resource_exhausted, 1},
      {JobCause::image_pull_failure, 2}, {JobCause::image_refused, 2},
      {JobCause::sandbox_refused, 2},    {JobCause::workspace_failure, 2},
      {JobCause::system_failure, 2},     {JobCause::runner_interrupted, 2},
      {JobCause::invalid_flow, 64},      {JobCause::canceled, 130},
  };
  for (const auto& [cause, code] : table) {
    JobResult result;
    result.cause = cause;
    CAPTURE(to_string(cause));
    CHECK(exit_code_for(result) == code);
  }
  JobResult result;
  result.status = JobStatus::success;
  result.cause = JobCause::none;
  CHECK(exit_code_for(result) == 0);
  result.status = JobStatus::failed;
  CHECK(exit_code_for(result) == 1);
  result.status = JobStatus::canceled;
  CHECK(exit_code_for(result) == 130);
}

TEST_CASE("timestamp: forms that are read and refused") {
  for (const std::string text :
       {"2026-11-22T14:30:12.345Z", "1970-01-01T00:00:00.000Z", "2261-12-31T23:59:59.999Z"})
    CHECK(format_timestamp(*parse_timestamp(text)) == text);
  CHECK(format_timestamp(*parse_timestamp("2026-11-22T14:30:12Z")) == "2026-11-22T14:30:12.000Z");
  CHECK(format_timestamp(*parse_timestamp("2026-11-22T14:30:12.123456789Z")) ==
        "2026-11-22T14:30:12.123Z");
  for (const char* text :
       {"", "2026", "2026-11-22 14:30:12Z", "2026-13-22T14:30:12Z", "2026-02-30T14:30:12Z",
        "2026-11-22T24:30:12Z", "2026-11-22T14:30:12", "2026-11-22T14:30:12+01:00",
        "2026-11-22T14:30:12.Z", "2026-11-22T14:30:12.1234567890Z", "-026-11-22T14:30:12Z",
        "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_timestamp(text).has_value());
  }
}
