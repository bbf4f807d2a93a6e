// JobRun: the state of one job inside its executor, and the stages that it goes through.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <nlohmann/json.hpp>

#include "config/job.hpp"
#include "config/variables.hpp"
#include "executor/changes.hpp"
#include "executor/log.hpp"
#include "executor/masker.hpp"
#include "executor/network_log.hpp"
#include "executor/pipeline.hpp"
#include "executor/repository_cache.hpp"
#include "executor/workspace.hpp"
#include "sandbox/disk_limit.hpp"
#include "sandbox/id_map.hpp"
#include "sandbox/image_files.hpp"
#include "sandbox/image_store.hpp"
#include "sandbox/network_proxy.hpp"
#include "sandbox/oci_sandbox.hpp"

namespace flow_runner {

JobCause cause_of(StopCause cause) noexcept;

/// Milliseconds since it was made.
class Stopwatch {
 public:
  [[nodiscard]] std::int64_t milliseconds() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Lives for one job, on one thread. run() goes through the stages in the order of their
/// declaration; salvage() takes up a dead one's work. Stages are in job_run_prepare.cpp,
/// job_run_changes.cpp and pipeline.cpp.
class JobRun {
 public:
  JobRun(Job job, PipelineContext context, Cancellation& cancellation)
      : job_(std::move(job)), context_(std::move(context)), cancellation_(cancellation) {}

  asio::awaitable<JobResult> run();
  asio::awaitable<JobResult> salvage();

 private:
  /// A stage ends with the cause to fail with, or goes on.
  using Stage = asio::awaitable<bool>;

  Stage start();
  /// Image and repository, side by side.
  Stage prepare_inputs();
  Stage prepare_workspace();
  /// Before anything is written into the job's overlay folder.
  Stage limit_disk();
  Stage prepare_sandbox();
  /// On disk; a copy is made beside the loop.
  asio::awaitable<Result<void>> create_workspace(const WorkspaceSpec& spec);
  asio::awaitable<Result<void>> start_proxy();
  /// Tells what the job did with its network. Safe without a proxy and when called twice.
  asio::awaitable<void> stop_proxy();
  Stage run_script();
  /// Instead of the script, or after it.
  Stage run_shell();
  /// The first of these that the image has; a failure when there is none.
  Result<std::string> find_shell() const;
  [[nodiscard]] SandboxCommand shell_command(std::vector<std::string> argv) const;
  /// What ended the script or shell before its time.
  [[nodiscard]] Error stopped_by(StopCause cause, const std::optional<DiskExhaustion>& disk) const;
  /// Nothing of the job runs any more: the proxy ends, and the disk limit.
  asio::awaitable<void> leave_sandbox();
  Stage handle_changes();
  Stage publish_changes(const TakenOver& taken);
  asio::awaitable<void> keep_changes(const ChangesContext& changes_context, const TakenOver& taken);
  void tell_kept_workspace();
  void tell_changes(const ChangeSet& changes);
  asio::awaitable<void> finish();
  void describe_job();
  /// Reads a dead job's files and mounts its workspace; false: it never had one.
  Result<bool> restore();

  asio::awaitable<Result<ImageFacts>> ensure_image(Cancellation& cancellation);
  asio::awaitable<Result<PreparedRepository>> prepare_repository(Cancellation& cancellation);
  /// Of the repository that is published to, which for a folder is its origin.
  asio::awaitable<Result<std::string>> target_default_branch(Cancellation& cancellation);
  [[nodiscard]] std::string target_url() const {
    return job_.publish.url.empty() ? job_.repository.url : job_.publish.url;
  }
  /// What the job ran into without ending by it.
  void warn_of_limits(const SandboxExit& exit);
  asio::awaitable<std::uint64_t> read_output(asio::posix::stream_descriptor& pipe);

  bool fail(JobCause cause, const Error& error);
  void remove(const std::filesystem::path& path);
  /// False, with a warning, when the line could not be written.
  bool journal(const char* state, nlohmann::json data = nlohmann::json::object());
  void progress(const char* phase, std::string_view text, std::uint64_t done = 0,
                std::uint64_t total = 0);
  void say(const std::string& line);
  void warn(const std::string& text);
  [[nodiscard]] std::string masked(std::string_view text) const {
    return mask_text(*patterns_, text);
  }
  /// The second line of the log.
  [[nodiscard]] std::string network_text() const;
  [[nodiscard]] std::string command_hint(const char* verb) const;
  [[nodiscard]] bool changed_nothing(const ChangeSet& changes) const;
  [[nodiscard]] std::string project_directory() const {
    return "/builds/" + job_.repository.project_path;
  }

  Job job_;
  PipelineContext context_;
  Cancellation& cancellation_;
  Cancellation after_script_;  // only a kill ends what follows the script
  std::optional<Cancellation::Subscription> kill_link_;
  Stopwatch total_;

  ResolvedVariables variables_;
  std::shared_ptr<const MaskerPatterns> patterns_;
  std::optional<JobLog> log_;
  JobResult result_;
  bool failed_ = false;
  bool script_over_ = false;
  bool shell_next_ = false;  ///< the script failed, and the person wants to look
  /// False in a salvage: names that the job chose could hold a secret that nobody could mask, so
  /// none is shown.
  bool secrets_known_ = true;
  bool unsaved_ = false;  ///< the workspace is the only copy of the work: it must stay

  std::optional<ImageFacts> image_;
  std::optional<ImageLease> image_lease_;
  std::optional<PreparedRepository> repository_;
  std::optional<IdRange> ids_;
  std::optional<DiskLimit> disk_;
  ImageUser user_;
  WorkspaceRecord record_;
  std::optional<Workspace> workspace_;
  std::optional<OciSandbox> sandbox_;
  std::optional<NetworkLog> network_log_;
  std::unique_ptr<NetworkProxy> proxy_;
};

}  // namespace flow_runner
