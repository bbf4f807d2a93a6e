// Pipeline: what an executor does with one job, from image to published ref.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "config/job.hpp"
#include "executor/job_directory.hpp"
#include "executor/job_result.hpp"
#include "executor/run_options.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner {

/// What a pipeline works with, besides the job.
struct PipelineContext {
  StateDirectory state;
  JobDirectory directory;
  std::filesystem::path scratch;                           ///< tmpfs of this mount namespace; 0711
  std::filesystem::path git_worker;                        ///< the program flow-runner-git
  std::function<void(const nlohmann::json&)> on_progress;  ///< may be empty; must not block
  RunOptions options{};
  int shell_fd = -1;  ///< the shell's socket (shell_channel.hpp), if options has one; taken over
};

/// Runs the job and writes journal, log and result into its directory. Always ends with a result;
/// the first cause wins. `cancellation` stops everything up to the script's end; what follows
/// (changes, bundle) is only ended by kill_now(). The job's secrets leave this function in no way
/// but through the sandbox's environment and files, and the git credential's descriptor.
boost::asio::awaitable<JobResult> run_pipeline(Job job, PipelineContext context,
                                               Cancellation& cancellation);

/// Finishes a job whose executor died: takes what lies in its workspace into a bundle and writes
/// the result (runner_interrupted). Safe to repeat.
boost::asio::awaitable<JobResult> salvage_job(PipelineContext context, Cancellation& cancellation);

}  // namespace flow_runner
