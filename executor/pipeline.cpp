#include "executor/pipeline.hpp"

#include <array>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "config/ref_name.hpp"
#include "config/units.hpp"
#include "config/variables.hpp"
#include "config/version.hpp"
#include "executor/changes.hpp"
#include "executor/job_environment.hpp"
#include "executor/log.hpp"
#include "executor/publication_guard.hpp"
#include "executor/repository_cache.hpp"
#include "executor/workspace.hpp"
#include "sandbox/alarm.hpp"
#include "sandbox/image_files.hpp"
#include "sandbox/image_store.hpp"
#include "sandbox/mount.hpp"
#include "sandbox/oci_sandbox.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

JobCause cause_of(StopCause cause) {
  switch (cause) {
    case StopCause::canceled: return JobCause::canceled;
    case StopCause::timeout: return JobCause::timeout;
    case StopCause::idle_timeout: return JobCause::idle_timeout;
    case StopCause::resource_exhausted: return JobCause::resource_exhausted;
    case StopCause::runner_interrupted: return JobCause::runner_interrupted;
  }
  return JobCause::system_failure;
}

std::shared_ptr<const MaskerPatterns> compile_patterns(const ResolvedVariables& variables) {
  std::vector<MaskedValue> values;
  for (const auto& secret : variables.secrets)
    values.push_back({secret.name, secret.value, secret.marked});
  return MaskerPatterns::compile(values);
}

std::int64_t milliseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// The flow's own keys may only narrow what the job was given.
void narrow(Job& job) {
  const FlowExtensions& own = job.flow.extensions;
  if (own.timeout) job.limits.timeout = std::min(job.limits.timeout, *own.timeout);
  const auto narrow_count = [](std::uint64_t& limit, const std::optional<std::uint64_t>& wanted) {
    if (wanted && (limit == 0 || *wanted < limit)) limit = *wanted;
  };
  narrow_count(job.limits.memory_bytes, own.resources.memory_bytes);
  narrow_count(job.limits.pids, own.resources.pids);
  if (own.resources.cpus && (job.limits.cpus == 0 || *own.resources.cpus < job.limits.cpus))
    job.limits.cpus = *own.resources.cpus;
  if (own.network && *own.network == NetworkMode::none) job.network = NetworkMode::none;
}

/// What the pipeline and the salvage share: the job's directory, log, result and the work after a script.
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
  Stage prepare_inputs();
  Stage prepare_workspace();
  Stage prepare_sandbox();
  Stage run_script();
  Stage handle_changes();
  Stage publish_changes(const ChangesContext& changes_context, const TakenOver& taken);
  asio::awaitable<void> keep_changes(const ChangesContext& changes_context, const ChangeSet& changes);
  asio::awaitable<void> finish();
  void describe_job();
  /// Reads a dead job's files and mounts its workspace; false: it never had one.
  Result<bool> restore();

  asio::awaitable<Result<ImageFacts>> ensure_image(Cancellation& cancellation);
  asio::awaitable<Result<PreparedRepository>> prepare_repository(Cancellation& cancellation);
  asio::awaitable<std::uint64_t> read_output(asio::posix::stream_descriptor& pipe);

  bool fail(JobCause cause, const Error& error);
  void journal(const char* state, json data = json::object());
  void progress(const char* phase, std::string_view text, std::uint64_t done = 0, std::uint64_t total = 0);
  void say(const std::string& line);
  void warn(const std::string& text);
  [[nodiscard]] std::string masked(std::string_view text) const { return mask_text(*patterns_, text); }
  [[nodiscard]] std::string command_hint(const char* verb) const;
  [[nodiscard]] bool changed_nothing(const ChangeSet& changes) const;
  [[nodiscard]] std::string project_directory() const { return "/builds/" + job_.repository.project_path; }

  Job job_;
  PipelineContext context_;
  Cancellation& cancellation_;
  Cancellation after_script_;  // only a kill ends what follows the script
  std::optional<Cancellation::Subscription> kill_link_;
  Clock::time_point started_ = Clock::now();

  ResolvedVariables variables_;
  std::shared_ptr<const MaskerPatterns> patterns_;
  std::optional<JobLog> log_;
  JobResult result_;
  bool failed_ = false;
  bool unsaved_ = false;  ///< the workspace is the only copy of the work: it must stay

  std::optional<ImageFacts> image_;
  std::optional<ImageLease> image_lease_;
  std::optional<PreparedRepository> repository_;
  std::optional<IdRange> ids_;
  ImageUser user_;
  WorkspaceRecord record_;
  std::optional<Workspace> workspace_;
  std::optional<OciSandbox> sandbox_;
};

bool JobRun::fail(JobCause cause, const Error& error) {
  if (failed_) return false;
  failed_ = true;
  if (const auto stop = cancellation_.requested()) cause = cause_of(*stop);
  result_.cause = cause;
  result_.status = cause == JobCause::canceled ? JobStatus::canceled : JobStatus::failed;
  result_.message = masked(error.message);
  say("ERROR: " + error.message);
  return false;
}

void JobRun::journal(const char* state, json data) {
  const JournalEntry entry{state, std::chrono::system_clock::now(), std::move(data)};
  if (const auto written = context_.directory.append_journal(entry); !written)
    warn("the job's journal could not be written: " + written.error().message);
}

void JobRun::progress(const char* phase, std::string_view text, std::uint64_t done, std::uint64_t total) {
  if (!context_.on_progress) return;
  context_.on_progress({{"phase", phase}, {"text", masked(text)}, {"done", done}, {"total", total}});
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
  if (context_.state.root != default_state_directory()) hint += " --state-dir " + context_.state.root.string();
  return hint;
}

bool JobRun::changed_nothing(const ChangeSet& changes) const {
  return changes.head == changes.base && changes.kept_refs.empty();
}

JobRun::Stage JobRun::start() {
  narrow(job_);
  variables_ = resolve_variables(job_);
  patterns_ = compile_patterns(variables_);
  auto log = JobLog::open(context_.directory.log_file(), patterns_, job_.limits.log_bytes);
  if (!log) co_return fail(JobCause::system_failure, log.error());
  log_.emplace(std::move(*log));
  kill_link_ = cancellation_.on_kill([this](StopCause) { after_script_.kill_now(); });
  journal("accepted");
  say("Running flow " + job_.flow.path + " with flow-runner " + std::string(version()) + " on " + result_.host +
      ", job " + job_.id);
  say(job_.network == NetworkMode::none
          ? "Network: none"
          : "Network: host: the job shares this host's network and reaches all that the host reaches, services "
            "on 127.0.0.1 included");
  for (const auto& warning : variables_.warnings) warn(warning);
  if (job_.publish.mode != PublishMode::none) {
    const auto target = allowed_target(job_.publish, job_.repository.default_branch);
    if (!target) co_return fail(JobCause::publish_refused, target.error());
  }
  co_return true;
}

asio::awaitable<Result<ImageFacts>> JobRun::ensure_image(Cancellation& cancellation) {
  FR_CO_TRY(const auto reference, ImageReference::parse(job_.flow.image.name));
  FR_CO_TRY(const ImageStore store, ImageStore::open(context_.state.images()));
  PullOptions options;
  options.auth_file = job_.registry_auth_file;
  options.ca_file = job_.ca_file;
  options.timeout = job_.limits.pull_timeout;
  options.on_progress = [this](std::string_view text) { progress("image", text); };
  const auto asked = job_.pull_policy ? job_.pull_policy : job_.flow.image.pull_policy;
  FR_CO_TRY(auto image, co_await store.ensure(reference, effective_pull_policy(asked, reference), options,
                                              cancellation));
  image_lease_.emplace(std::move(image.lease));
  co_return std::move(image.facts);
}

asio::awaitable<Result<PreparedRepository>> JobRun::prepare_repository(Cancellation& cancellation) {
  RepositoryOptions options;
  options.git_worker = context_.git_worker;
  options.ca_file = job_.ca_file;
  options.on_progress = [this](std::string_view text) { progress("workspace", text); };
  options.sanitize = [this](std::string_view text) { return masked(text); };
  FR_CO_TRY(const auto ref, full_ref(job_.publish.workload_ref));
  record_.ref = ref;
  RepositoryCache cache(context_.state.repositories());
  co_return co_await cache.prepare(job_.repository, ref, job_.source, options, cancellation);
}

JobRun::Stage JobRun::prepare_inputs() {
  using namespace asio::experimental::awaitable_operators;
  journal("image", {{"image", job_.flow.image.name}});
  // Image and repository come from different places: side by side. The first failure ends the other.
  Cancellation both;
  const auto stop_link = cancellation_.on_request([&](StopCause cause) { both.request(cause); });
  const auto kill_link = cancellation_.on_kill([&](StopCause) { both.kill_now(); });
  std::optional<bool> image_failed_first;
  const auto timed = [&](auto work, std::optional<std::int64_t>& time, bool is_image) -> decltype(work) {
    const auto begin = Clock::now();
    auto outcome = co_await std::move(work);
    time = milliseconds_since(begin);
    if (!outcome && !image_failed_first) {
      image_failed_first = is_image;
      both.request(StopCause::canceled);
    }
    co_return outcome;
  };
  auto [image, repository] =
      co_await (timed(ensure_image(both), result_.timings.image_ms, true) &&
                timed(prepare_repository(both), result_.timings.workspace_ms, false));
  if (image_failed_first == true) co_return fail(JobCause::image_pull_failure, image.error());
  if (image_failed_first == false) co_return fail(JobCause::workspace_failure, repository.error());
  image_ = std::move(*image);
  repository_ = std::move(*repository);
  result_.image_name = image_->name;
  result_.image_digest = image_->digest;
  result_.base = repository_->commit;
  if (job_.publish.mode != PublishMode::none) {
    const auto target = allowed_target(job_.publish, repository_->default_branch);
    if (!target) co_return fail(JobCause::publish_refused, target.error());
  }
  const SnapshotInfo& snapshot = repository_->snapshot;
  if (!snapshot.submodules.empty())
    warn("submodules are not filled in: " + snapshot.submodules.front() +
         (snapshot.submodules.size() > 1 ? " and others" : ""));
  if (snapshot.lfs) warn("Git LFS files are not filled in: the job sees their pointers");
  co_return true;
}

JobRun::Stage JobRun::prepare_workspace() {
  const auto begin = Clock::now();
  auto ids = IdRange::acquire(context_.state.id_ranges());
  if (!ids) co_return fail(JobCause::system_failure, ids.error());
  ids_.emplace(std::move(*ids));
  const auto user = resolve_user(image_->layers, image_->user);
  if (!user) co_return fail(JobCause::image_refused, user.error());
  user_ = *user;

  record_.mirror = repository_->mirror;
  record_.base = repository_->commit;
  record_.snapshot_layers = repository_->layers;
  record_.owner_uid = ids_->base() + user_.uid;
  record_.owner_gid = ids_->base() + user_.gid;
  const bool remote = repository_->url.starts_with("http");
  WorkspaceSpec spec{.snapshot_layers = record_.snapshot_layers,
                     .overlay = context_.directory.overlay() / "workspace",
                     .scratch = context_.scratch / "workspace",
                     .commit = record_.base,
                     .url = remote ? repository_->url : std::string(),
                     .default_branch = repository_->default_branch,
                     .default_tip = repository_->default_tip,
                     .workload_ref = record_.ref,
                     .workload_tip = repository_->workload_tip,
                     .shallow_file = repository_->shallow ? record_.mirror / "shallow" : std::filesystem::path(),
                     .owner_uid = record_.owner_uid,
                     .owner_gid = record_.owner_gid};
  if (::mkdir(spec.scratch.c_str(), 0711) != 0)
    co_return fail(JobCause::system_failure, errno_error("cannot make " + spec.scratch.string()));
  if (const auto created = Workspace::create(spec); !created)
    co_return fail(JobCause::workspace_failure, created.error());
  journal("workspace", to_json(record_));
  auto workspace = Workspace::mount(spec);
  if (!workspace) co_return fail(JobCause::workspace_failure, workspace.error());
  workspace_.emplace(std::move(*workspace));
  result_.timings.workspace_ms = result_.timings.workspace_ms.value_or(0) + milliseconds_since(begin);
  co_return true;
}

JobRun::Stage JobRun::prepare_sandbox() {
  const auto begin = Clock::now();
  journal("sandbox");
  const auto scratch = context_.scratch;
  const auto root_overlay = context_.directory.overlay() / "root";
  for (const auto& [folder, mode] : {std::pair(scratch / "sandbox", 0711U), {scratch / "files", 0755U},
                                     {scratch / "objects", 0755U}, {root_overlay, 0700U}})
    if (::mkdir(folder.c_str(), mode) != 0)
      co_return fail(JobCause::system_failure, errno_error("cannot make " + folder.string()));

  const ImageEnvironment environment{image_->env, user_.home, record_.owner_uid, record_.owner_gid};
  if (const auto written = write_job_files(scratch / "files", job_, variables_, environment); !written)
    co_return fail(JobCause::system_failure, written.error());
  const auto map = make_id_map({::geteuid(), record_.owner_uid, 1}, {::getegid(), record_.owner_gid, 1});
  if (!map) co_return fail(JobCause::sandbox_refused, map.error());
  if (const auto mounted =
          mount_id_mapped(record_.mirror / "objects", scratch / "objects", map->get(), BindMode::read_only);
      !mounted)
    co_return fail(JobCause::workspace_failure, mounted.error());

  SandboxSpec spec;
  spec.id = job_.id;
  spec.scratch = scratch / "sandbox";
  spec.root_overlay = root_overlay;
  spec.image_layers = image_->layers;
  spec.uid = user_.uid;
  spec.gid = user_.gid;
  spec.groups = user_.groups;
  spec.mounts = {{workspace_->merged(), project_directory(), false},
                 {scratch / "files", job_files_in_container, true},
                 {scratch / "objects", objects_in_container, true}};
  spec.ids = &*ids_;
  spec.limits = {job_.limits.memory_bytes, job_.limits.pids, job_.limits.cpus};
  spec.tmp_bytes = job_.limits.tmp_bytes;
  spec.network = job_.network;
  sandbox_.emplace(context_.state.root / "runtime.json");
  if (const auto prepared = co_await sandbox_->prepare(std::move(spec), cancellation_); !prepared)
    co_return fail(JobCause::sandbox_refused, prepared.error());
  result_.layers = sandbox_->layers();
  result_.timings.sandbox_ms = milliseconds_since(begin);
  co_return true;
}

asio::awaitable<std::uint64_t> JobRun::read_output(asio::posix::stream_descriptor& pipe) {
  std::array<char, 65536> buffer;
  std::uint64_t total = 0;
  while (true) {
    boost::system::error_code error;
    const std::size_t n = co_await pipe.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return total;
    log_->script_output({buffer.data(), n});
    total += n;
  }
}

JobRun::Stage JobRun::run_script() {
  using namespace asio::experimental::awaitable_operators;
  const auto begin = Clock::now();
  const ImageFiles files(image_->layers);
  const auto shell = files.find_program({"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh", "/usr/bin/sh"});
  if (!shell || shell->empty())
    co_return fail(JobCause::image_refused,
                   {ErrorCode::invalid_input,
                    "image " + image_->name + " has neither bash nor sh; commands need a shell"});
  auto pipe = make_pipe();
  if (!pipe) co_return fail(JobCause::system_failure, pipe.error());
  journal("script");
  progress("script", "");
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor output(executor, pipe->read.release());
  SandboxCommand command;
  command.argv = {*shell, std::string(job_files_in_container) + "/script"};
  command.environment = build_environment(
      job_, variables_, {image_->env, user_.home, record_.owner_uid, record_.owner_gid}, project_directory());
  command.working_directory = project_directory();
  command.output_fd = pipe->write.get();
  command.grace = job_.limits.grace;
  const auto run_and_close = [&]() -> asio::awaitable<Result<SandboxExit>> {
    auto exit = co_await sandbox_->run(std::move(command), cancellation_);
    pipe->write.close();
    co_return exit;
  };
  auto [exit, bytes] = co_await (run_and_close() && read_output(output));
  result_.timings.script_ms = milliseconds_since(begin);
  if (!exit) co_return fail(JobCause::sandbox_refused, exit.error());
  result_.exit_code = exit->status.code;
  journal("script_ended", {{"exit_code", exit->status.code}});
  if (const auto stop = cancellation_.requested())
    co_return fail(cause_of(*stop),
                   {ErrorCode::cancelled, *stop == StopCause::timeout
                                              ? "the job was stopped after its time limit of " +
                                                    format_duration(job_.limits.timeout)
                                              : std::string("the job was cancelled")});
  if (exit->status.success()) co_return true;
  if (exit->oom_kills > 0)
    co_return fail(JobCause::resource_exhausted,
                   {ErrorCode::denied, "the job's memory limit of " + format_bytes(job_.limits.memory_bytes) +
                                           " was reached; raise it with --memory"});
  co_return fail(JobCause::script_failure, {ErrorCode::invalid_input, "the script ended with exit code " +
                                                                          std::to_string(exit->status.code)});
}

JobRun::Stage JobRun::handle_changes() {
  const auto begin = Clock::now();
  const auto touched = workspace_->touched();
  if (touched && !*touched) {
    result_.timings.changes_ms = milliseconds_since(begin);
    say("The job changed nothing; nothing is published.");
    co_return true;
  }
  journal("changes");
  progress("changes", "");
  const ChangesContext changes_context{context_.directory,  record_,
                                       job_,                patterns_,
                                       context_.git_worker, workspace_->merged(),
                                       workspace_->upper()};
  auto taken = co_await take_over_changes(changes_context, after_script_);
  result_.timings.changes_ms = milliseconds_since(begin);
  if (!taken) {
    unsaved_ = true;
    say("The job's workspace stays in " + context_.directory.overlay().string());
    co_return fail(JobCause::system_failure,
                   {taken.error().code, "the changes could not be read: " + taken.error().message});
  }
  for (const auto& warning : taken->changes.warnings) warn(warning);
  result_.changes = taken->changes.changes;
  if (changed_nothing(taken->changes)) {
    say("The job changed nothing; nothing is published.");
    co_return true;
  }
  if (taken->changes.head != taken->changes.base) result_.commit = taken->changes.head;
  const bool published = co_await publish_changes(changes_context, *taken);
  if (!published || !taken->changes.kept_refs.empty()) co_await keep_changes(changes_context, taken->changes);
  co_return published;
}

JobRun::Stage JobRun::publish_changes(const ChangesContext&, const TakenOver& taken) {
  if (!taken.refusal.empty() && job_.publish.mode != PublishMode::none)
    co_return fail(JobCause::publish_refused, {ErrorCode::denied, taken.refusal});
  if (!taken.refusal.empty()) warn("these changes would not be published: " + taken.refusal);
  if (failed_ || job_.publish.mode == PublishMode::none || result_.commit.empty()) co_return false;
  const auto begin = Clock::now();
  journal("publish", {{"ref", record_.ref}, {"commit", result_.commit}});
  progress("publish", "");
  PublicationRequest request;
  request.mode = job_.publish.mode;
  request.quarantine = context_.directory.quarantine();
  request.mirror = record_.mirror;
  request.base = taken.changes.base;
  request.head = taken.changes.head;
  request.url = job_.publish.url.empty() ? job_.repository.url : job_.publish.url;
  request.ref = record_.ref;
  request.expected = repository_->workload_tip;
  request.credential = {job_.repository.username, job_.repository.token};
  request.skip_pipelines = job_.publish.skip_pipelines;
  request.git_worker = context_.git_worker;
  const GitContext git{.ca_file = job_.ca_file,
                       .sanitize = [this](std::string_view text) { return masked(text); },
                       .on_progress = [this](std::string_view text) { progress("publish", text); }};
  const auto outcome = co_await publish(request, git, after_script_);
  result_.timings.publish_ms = milliseconds_since(begin);
  if (!outcome) co_return fail(JobCause::publish_failure, outcome.error());
  for (const auto& warning : outcome->warnings) warn(warning);
  result_.pushed_ref = outcome->ref;
  result_.pushed_sha = outcome->commit;
  result_.commit = outcome->commit;
  say("Pushed " + outcome->commit.substr(0, 12) + " to " + outcome->ref);
  co_return true;
}

asio::awaitable<void> JobRun::keep_changes(const ChangesContext& changes_context, const ChangeSet& changes) {
  const auto bundle = co_await keep_bundle(changes_context, changes, after_script_);
  if (!bundle) {
    fail(JobCause::system_failure, {bundle.error().code, "the changes could not be kept as a bundle: " +
                                                             bundle.error().message});
    unsaved_ = true;
    say("The job's workspace stays in " + context_.directory.overlay().string());
    co_return;
  }
  if (!*bundle) co_return;
  result_.bundle = (*bundle)->file;
  journal("kept", {{"bundle", result_.bundle.string()}});
  if (job_.publish.mode == PublishMode::none && !changes_context.merged.empty()) {
    if (const auto kept = co_await keep_patch(changes_context, changes, after_script_); kept)
      result_.patch = context_.directory.patch_file();
    else
      warn("the diff could not be written: " + kept.error().message);
  }
  say("The changes are kept in " + result_.bundle.string());
  say("  apply them to a work tree:  " + command_hint("apply"));
  say("  publish them:               " + command_hint("publish"));
}

asio::awaitable<void> JobRun::finish() {
  if (sandbox_) {
    if (const auto destroyed = co_await sandbox_->destroy(); !destroyed) warn(destroyed.error().message);
  }
  if (!failed_) {
    result_.status = JobStatus::success;
    result_.cause = JobCause::none;
    result_.message.clear();
  }
  workspace_.reset();
  sandbox_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(context_.directory.overlay() / "root", ignored);
  if (!unsaved_) {
    std::filesystem::remove_all(context_.directory.overlay(), ignored);
    std::filesystem::remove_all(context_.directory.quarantine(), ignored);
  }
  result_.timings.total_ms = milliseconds_since(started_);
  result_.finished_at = std::chrono::system_clock::now();
  if (log_) {
    say(failed_ ? "Job " + std::string(to_string(result_.status)) + ": " + std::string(to_string(result_.cause))
                : "Job succeeded");
    log_->close();
    result_.log = context_.directory.log_file();
    result_.log_bytes = log_->bytes();
    result_.log_truncated = log_->truncated();
  }
  if (const auto written = context_.directory.write_result(result_); !written)
    std::fprintf(stderr, "flow-runner: %s\n", written.error().message.c_str());
  journal("finished", {{"status", to_string(result_.status)}, {"cause", to_string(result_.cause)}});
}

asio::awaitable<JobResult> JobRun::run() {
  describe_job();
  result_.started_at = std::chrono::system_clock::now();
  result_.timings.queue_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                 result_.started_at - job_.queued_at).count();
  Alarm deadline(co_await asio::this_coro::executor);
  deadline.set(job_.limits.timeout, [this] { cancellation_.request(StopCause::timeout); });

  bool script_ran = false;
  if (co_await start() && co_await prepare_inputs() && co_await prepare_workspace() &&
      co_await prepare_sandbox()) {
    script_ran = true;
    co_await run_script();
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
  result_.flow_path = job_.flow.path;
  result_.flow_sha256 = job_.flow.sha256;
  result_.network = job_.network == NetworkMode::none ? "none" : "host";
}

Result<bool> JobRun::restore() {
  FR_TRY(job_, context_.directory.read_job());
  patterns_ = MaskerPatterns::compile({});
  describe_job();
  result_.started_at = job_.queued_at;
  FR_TRY(log_, JobLog::open(context_.directory.log_file(), patterns_, job_.limits.log_bytes));
  FR_TRY(const auto entries, context_.directory.read_journal());
  std::optional<json> record;
  for (const auto& entry : entries) {
    if (entry.state == "accepted") result_.started_at = entry.at;
    if (entry.state == "workspace") record = entry.data;
    if (entry.state == "script_ended" && entry.data.contains("exit_code"))
      result_.exit_code = entry.data["exit_code"].get<int>();
  }
  if (!record) return false;
  FR_TRY(record_, workspace_record_from_json(*record));
  result_.base = record_.base;
  const auto overlay = context_.directory.overlay() / "workspace";
  if (::access((overlay / "upper").c_str(), F_OK) != 0) return false;
  WorkspaceSpec spec;
  spec.snapshot_layers = record_.snapshot_layers;
  spec.overlay = overlay;
  spec.scratch = context_.scratch / "workspace";
  spec.owner_uid = record_.owner_uid;
  spec.owner_gid = record_.owner_gid;
  if (::mkdir(spec.scratch.c_str(), 0711) != 0) return errno_error("cannot make " + spec.scratch.string());
  FR_TRY(workspace_, Workspace::mount(spec));
  return true;
}

asio::awaitable<JobResult> JobRun::salvage() {
  const auto restored = restore();
  // Whatever follows, the job itself did not end by its own doing.
  fail(JobCause::runner_interrupted,
       {ErrorCode::internal, "the executor died while the job was running; what the job had changed by "
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

}  // namespace

asio::awaitable<JobResult> run_pipeline(Job job, PipelineContext context, Cancellation& cancellation) {
  JobRun run(std::move(job), std::move(context), cancellation);
  co_return co_await run.run();
}

asio::awaitable<JobResult> salvage_job(PipelineContext context, Cancellation& cancellation) {
  JobRun run({}, std::move(context), cancellation);
  co_return co_await run.salvage();
}

}  // namespace flow_runner
