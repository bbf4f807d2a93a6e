// JobResult: what a finished job reports (`schema: 1`), and the vocabulary of its causes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/result.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

enum class JobStatus { success, failed, canceled };

/// Why a job ended as it did; the first one wins.
enum class JobCause {
  none,
  script_failure,
  timeout,
  idle_timeout,
  canceled,
  image_pull_failure,
  image_refused,
  sandbox_refused,
  workspace_failure,
  resource_exhausted,
  publish_refused,
  publish_failure,
  invalid_flow,
  runner_interrupted,
  system_failure,
};

std::string_view to_string(JobStatus status) noexcept;
std::string_view to_string(JobCause cause) noexcept;
std::optional<JobCause> job_cause_from(std::string_view name) noexcept;
/// GitLab's `failure_reason` for a cause; empty for none.
std::string_view failure_reason(JobCause cause) noexcept;

/// Milliseconds per phase; absent: the phase was not reached.
struct JobTimings {
  std::optional<std::int64_t> queue_ms, image_ms, workspace_ms, sandbox_ms, script_ms, changes_ms,
      publish_ms, total_ms;
};

struct JobResult {
  std::string id;
  JobStatus status = JobStatus::failed;
  JobCause cause = JobCause::system_failure;
  std::string message;           ///< one sentence: what happened; empty on success
  std::optional<int> exit_code;  ///< the shell's
  std::chrono::system_clock::time_point started_at;
  std::chrono::system_clock::time_point finished_at;
  std::string version, host, source, project, job_url;
  std::string flow_path, flow_sha256;
  std::string image_name, image_digest;
  std::string base;  ///< commit the job started from
  std::vector<Change> changes;
  std::string commit;  ///< head of the changes; empty: nothing changed
  std::string pushed_ref, pushed_sha;
  std::filesystem::path bundle;  ///< kept changes; empty: none
  std::filesystem::path patch;
  std::filesystem::path log;
  std::uint64_t log_bytes = 0;
  bool log_truncated = false;
  std::vector<std::string> warnings;
  std::string token_used;                   ///< the variable's name whose token fetched and pushed
  std::string network;                      ///< none | proxy | host
  std::vector<std::string> layers;          ///< names of the isolation layers that were in force
  std::vector<std::string> missing_layers;  ///< that the host could not give; none was required
  JobTimings timings;
};

nlohmann::json to_json(const JobResult& result);
Result<JobResult> job_result_from_json(const nlohmann::json& json);

/// The exit code of `exec`: 0 success; 1 script, time-out, publication; 2 the system; 64 invalid
/// flow; 130 cancelled.
int exit_code_for(const JobResult& result) noexcept;

}  // namespace flow_runner
