// The client of an executor: starts one for a job, hands the job over, follows it to its end.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/job_directory.hpp"
#include "executor/job_result.hpp"
#include "executor/run_options.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// What the client hears, on its own loop. Any may be empty; none may block.
struct ExecutorEvents {
  std::function<void(std::string_view bytes)> on_log;  ///< masked
  std::function<void(const JournalEntry& entry)> on_journal;
  /// {"phase": "image", "text": "…", "done": n, "total": n}; lossy by design, masked.
  std::function<void(const nlohmann::json& progress)> on_progress;
  /// When the options have a shell: our end of its socket (shell_channel.hpp). Returns when the
  /// socket is closed, which it is at the job's end at the latest.
  std::function<asio::awaitable<void>(Descriptor socket)> shell{};
};

/// Makes the job directory, starts `flow-runner job-executor` and follows the job. The job, secrets
/// included, goes over a socket pair: never by argument, environment or disk.
/// cancellation.request() asks the executor to stop and keep the changes; kill_now() ends it at
/// once. If the executor dies without a result (a crash, SIGKILL), its work is salvaged before this
/// returns. When the caller dies, the executor sees the closed socket, stops the job and keeps its
/// changes.
asio::awaitable<Result<JobResult>> run_executor(const StateDirectory& state, const Job& job,
                                                const RunOptions& options,
                                                Cancellation& cancellation, ExecutorEvents events);

/// Salvages every job of which no executor lives and no result exists; keeps their changes as
/// bundles. Also removes cgroups and folders that no lock owns. Returns the ids that were salvaged.
asio::awaitable<Result<std::vector<std::string>>> salvage_dead_jobs(const StateDirectory& state,
                                                                    Cancellation& cancellation);

}  // namespace flow_runner
