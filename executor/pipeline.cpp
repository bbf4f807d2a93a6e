#include "executor/pipeline.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

#include "config/network_presets.hpp"
#include "config/version.hpp"
#include "executor/job_run.hpp"
#include "executor/masked_output.hpp"
#include "executor/proxy_environment.hpp"
#include "executor/publication_guard.hpp"
#include "executor/remove_tree.hpp"
#include "sandbox/alarm.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;

std::shared_ptr<const MaskerPatterns> compile_patterns(const ResolvedVariables& variables) {
  std::vector<MaskedValue> values;
  for (const auto& secret : variables.secrets)
    values.push_back({secret.name, secret.value, secret.marked});
  return MaskerPatterns::compile(values);
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

JobCause cause_of(StopCause cause) noexcept {
  switch (cause) {
    case StopCause::canceled:
      return JobCause::canceled;
    case StopCause::timeout:
      return JobCause::timeout;
    case StopCause::idle_timeout:
      return JobCause::idle_timeout;
    case StopCause::resource_exhausted:
      return JobCause::resource_exhausted;
    case StopCause::runner_interrupted:
      return JobCause::runner_interrupted;
  }
  return JobCause::system_failure;
}

bool JobRun::fail(JobCause cause, const Error& error) {
  if (failed_) return false;
  failed_ = true;
  // After the script a request to stop changes nothing any more, so it is not the cause either.
  const auto stop = cancellation_.requested();
  if (stop && !script_over_) cause = cause_of(*stop);
  result_.cause = cause;
  result_.status = cause == JobCause::canceled ? JobStatus::canceled : JobStatus::failed;
  result_.message = masked(error.message);
  say("ERROR: " + error.message);
  return false;
}

bool JobRun::journal(const char* state, json data) {
  // A salvage mounts the workspace by its record: names of our own, which stay as they are.
  // And a commit's id is no text in which a short secret could be recognised.
  const json commit = data.is_object() && data.contains("commit") ? data["commit"] : json();
  if (std::string_view(state) != "workspace") mask_strings(data, *patterns_);
  if (!commit.is_null()) data["commit"] = commit;
  const JournalEntry entry{state, std::chrono::system_clock::now(), std::move(data)};
  if (const auto written = context_.directory.append_journal(entry); !written)
    return warn("the job's journal could not be written: " + written.error().message), false;
  return true;
}

void JobRun::progress(const char* phase, std::string_view text, std::uint64_t done,
                      std::uint64_t total) {
  if (!context_.on_progress) return;
  context_.on_progress(
      {{"phase", phase}, {"text", masked(text)}, {"done", done}, {"total", total}});
}

void JobRun::say(const std::string& line) {
  if (log_) log_->line(line);
}

void JobRun::warn(const std::string& text) {
  result_.warnings.push_back(masked(text));
  say("WARNING: " + text);
}

std::string JobRun::command_hint(const char* verb) const {
  std::string hint = "flow-runner " + std::string(verb) + " " + job_.id;
  if (context_.state.root != default_state_directory())
    hint += " --state-dir " + context_.state.root.string();
  return hint;
}

bool JobRun::changed_nothing(const ChangeSet& changes) const {
  return changes.head == changes.base && changes.kept_refs.empty();
}

std::string JobRun::network_text() const {
  if (job_.network == NetworkMode::none) return "Network: none";
  if (job_.network == NetworkMode::host)
    return "Network: host: the job shares this host's network and reaches all that the host "
           "reaches, services on 127.0.0.1 included";
  const NetworkPolicy& policy = job_.network_policy;
  if (policy.allow.empty())
    return "Network: proxy: nothing is allowed; --network-allow HOST:PORT adds a host";
  const auto entries = [](std::size_t count) {
    return std::to_string(count) + (count == 1 ? " entry" : " entries");
  };
  std::string text = "Network: proxy: " + entries(policy.allow.size()) + " allowed";
  if (!policy.deny.empty()) text += ", " + entries(policy.deny.size()) + " denied";
  if (policy.narrowed_to)
    text += ", narrowed by the flow to " + entries(policy.narrowed_to->size());
  return text;
}

JobRun::Stage JobRun::start() {
  narrow(job_, job_.flow.extensions);
  variables_ = resolve_variables(job_);
  patterns_ = compile_patterns(variables_);
  auto log = JobLog::open(context_.directory.log_file(), patterns_, job_.limits.log_bytes);
  if (!log) co_return fail(JobCause::system_failure, log.error());
  log_.emplace(std::move(*log));
  kill_link_ = cancellation_.on_kill([this](StopCause) { after_script_.kill_now(); });
  journal("accepted");
  say("Running flow " + job_.flow.path + " with flow-runner " + std::string(version()) + " on " +
      result_.host + ", job " + job_.id);
  say(network_text());
  for (const auto& warning : variables_.warnings) warn(warning);
  if (job_.network == NetworkMode::proxy)
    if (const auto replaced = replaced_proxy_variables(variables_); !replaced.empty())
      warn(replaced);
  if (job_.flow.extensions.idle_timeout)
    warn("x-flow-runner.idle_timeout has no effect in this version");
  if (job_.flow.extensions.publish_on_failure)
    warn("x-flow-runner.publish.on_failure has no effect in this version: kept changes stay here");
  if (job_.publish.mode != PublishMode::none) {
    const auto target = allowed_target(job_.publish, job_.repository.default_branch);
    if (!target) co_return fail(JobCause::publish_refused, target.error());
  }
  co_return true;
}

void JobRun::remove(const std::filesystem::path& path) {
  // The error would name what the job has written, and nobody masks stderr.
  if (const auto removed = remove_tree(path); !removed)
    std::fprintf(stderr, "flow-runner: left-overs stay in %s\n", path.c_str());
}

void JobRun::tell_kept_workspace() {
  const bool asked = context_.options.keep == KeepWorkspace::yes;
  const auto overlay = context_.directory.overlay();
  const bool copy = record_.kind == WorkspaceKind::copy;
  const auto files = overlay / "workspace" / (copy ? "copy" : "upper");
  if ((!asked && !unsaved_) || ::access(files.c_str(), F_OK) != 0) return;
  journal("workspace_kept",
          {{"path", files.string()}, {"whole", copy}, {"only_copy", unsaved_}, {"asked", asked}});
  if (!asked) return;
  say(copy ? "The workspace stays, as --keep asked, in " + files.string()
           : "The workspace stays, as --keep asked: what the job changed in it is in " +
                 files.string() +
                 " (a file that is not there did not change, a device 0,0 is a deleted one)");
  say("  in the rest of the container: " + (overlay / "root/upper").string());
  say("  see how to look at it whole:  " + command_hint("show"));
  if (!unsaved_) say("  remove it:                    " + command_hint("prune --workspace"));
}

asio::awaitable<void> JobRun::finish() {
  co_await stop_proxy();
  if (sandbox_) {
    if (const auto destroyed = co_await sandbox_->destroy(); !destroyed)
      warn(destroyed.error().message);
  }
  if (!failed_) {
    result_.status = JobStatus::success;
    result_.cause = JobCause::none;
    result_.message.clear();
  }
  workspace_.reset();
  sandbox_.reset();
  tell_kept_workspace();
  result_.timings.total_ms = total_.milliseconds();
  result_.finished_at = std::chrono::system_clock::now();
  if (log_) {
    say(failed_ ? "Job " + std::string(to_string(result_.status)) + ": " +
                      std::string(to_string(result_.cause))
                : "Job succeeded");
    log_->close();
    if (log_->error() != nullptr)
      result_.warnings.push_back("the log is not complete: " + masked(log_->error()->message));
    result_.log = context_.directory.log_file();
    result_.log_bytes = log_->bytes();
    result_.log_truncated = log_->truncated();
  }
  // Out of the way in one step: whoever salvages this job must never see half a workspace.
  const auto leavings = context_.directory.removing();
  const bool stays = unsaved_ || context_.options.keep == KeepWorkspace::yes;
  if (!stays && ::rename(context_.directory.overlay().c_str(), leavings.c_str()) != 0 &&
      errno != ENOENT)
    warn(errno_error("the workspace cannot be put aside").message);
  mask_result(result_, *patterns_);
  if (const auto written = context_.directory.write_result(result_); !written)
    std::fprintf(stderr, "flow-runner: %s\n", written.error().message.c_str());
  remove(leavings);
  if (unsaved_ && context_.options.keep == KeepWorkspace::no)
    remove(context_.directory.overlay() / "root");
  if (!unsaved_) remove(context_.directory.quarantine());
  journal("finished", {{"status", to_string(result_.status)}, {"cause", to_string(result_.cause)}});
}

asio::awaitable<JobResult> JobRun::run() {
  describe_job();
  result_.started_at = std::chrono::system_clock::now();
  result_.timings.queue_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(result_.started_at - job_.queued_at)
          .count();
  Alarm deadline(co_await asio::this_coro::executor);
  deadline.set(job_.limits.timeout, [this] { cancellation_.request(StopCause::timeout); });

  bool script_ran = false;
  if (co_await start() && co_await prepare_inputs() && co_await prepare_workspace() &&
      co_await prepare_sandbox()) {
    script_ran = true;
    const bool shell_first = context_.options.shell == ShellUse::instead;
    if (!shell_first) co_await run_script();
    if (shell_first || shell_next_) co_await run_shell();
    script_over_ = true;
  }
  deadline.cancel();
  if (script_ran) co_await handle_changes();
  co_await finish();
  co_return result_;
}

void JobRun::describe_job() {
  result_.id = job_.id;
  result_.version = version();
  result_.host = host_name();
  result_.source = job_.source;
  result_.project = job_.repository.project_path;
  result_.job_url = job_.job_url;
  result_.token_used = job_.repository.token_name;
  result_.flow_path = job_.flow.path;
  result_.flow_sha256 = job_.flow.sha256;
  result_.network = to_string(job_.network);
}

Result<bool> JobRun::restore() {
  patterns_ = MaskerPatterns::compile({});
  secrets_known_ = false;
  job_.id = context_.directory.id();
  describe_job();
  FR_TRY(job_, context_.directory.read_job());
  describe_job();
  result_.started_at = job_.queued_at;
  FR_TRY(log_, JobLog::open(context_.directory.log_file(), patterns_, job_.limits.log_bytes));
  FR_TRY(const auto entries, context_.directory.read_journal());
  std::optional<json> record;
  for (const auto& entry : entries) {
    if (entry.state == "accepted") result_.started_at = entry.at;
    if (entry.state == "workspace") record = entry.data;
    if (entry.state == "kept") result_.commit = entry.data.value("commit", "");
    if (entry.state == "published") {
      result_.pushed_ref = entry.data.value("ref", "");
      result_.pushed_sha = result_.commit = entry.data.value("commit", "");
    }
    if (entry.state == "script_ended" && entry.data.contains("exit_code"))
      result_.exit_code = entry.data["exit_code"].get<int>();
  }
  if (::access(context_.directory.bundle_file().c_str(), F_OK) == 0)
    result_.bundle = context_.directory.bundle_file();
  const auto overlay = context_.directory.overlay() / "workspace";
  if (!record && Workspace::may_hold_work(WorkspaceKind::overlay, overlay))
    return Error{ErrorCode::internal, "the journal does not say what the workspace was made from"};
  // A copy is journalled before anything of the job can run in it.
  if (!record) return false;
  FR_TRY(record_, workspace_record_from_json(*record));
  result_.base = record_.base;
  if (!Workspace::may_hold_work(record_.kind, overlay)) return false;
  WorkspaceSpec spec;
  spec.kind = record_.kind;
  spec.snapshot_layers = record_.snapshot_layers;
  spec.overlay = overlay;
  spec.scratch = context_.scratch / "workspace";
  spec.owner_uid = record_.owner_uid;
  spec.owner_gid = record_.owner_gid;
  if (::mkdir(spec.scratch.c_str(), 0711) != 0)
    return errno_error("cannot make " + spec.scratch.string());
  FR_TRY(workspace_, Workspace::mount(spec));
  return true;
}

asio::awaitable<JobResult> JobRun::salvage() {
  const auto restored = restore();
  // Whatever follows, the job itself did not end by its own doing.
  fail(JobCause::runner_interrupted,
       {ErrorCode::internal,
        "the executor died while the job was running; what the job had changed by "
        "then is kept"});
  if (!restored)
    warn("the work could not be salvaged: " + restored.error().message + "; it stays in " +
         context_.directory.overlay().string());
  else if (*restored)
    co_await handle_changes();
  unsaved_ = unsaved_ || !restored;
  co_await finish();
  co_return result_;
}

asio::awaitable<JobResult> run_pipeline(Job job, PipelineContext context,
                                        Cancellation& cancellation) {
  JobRun run(std::move(job), std::move(context), cancellation);
  co_return co_await run.run();
}

asio::awaitable<JobResult> salvage_job(PipelineContext context, Cancellation& cancellation) {
  JobRun run({}, std::move(context), cancellation);
  co_return co_await run.salvage();
}

}  // namespace flow_runner
