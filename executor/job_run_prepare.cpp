#include <array>
#include <cerrno>
#include <csignal>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "config/ref_name.hpp"
#include "config/units.hpp"
#include "executor/git_command.hpp"
#include "executor/job_environment.hpp"
#include "executor/job_run.hpp"
#include "executor/publication_guard.hpp"
#include "sandbox/alarm.hpp"
#include "sandbox/blocking_call.hpp"
#include "sandbox/mount.hpp"
#include "sandbox/process.hpp"
#include "sandbox/rootless.hpp"

namespace flow_runner {
using nlohmann::json;

namespace {

/// The mirror's objects, read-only; owned by the job's user where ids can be translated, else by
/// nobody that the job knows, which suffices for reading.
Result<void> mount_objects(const WorkspaceRecord& record, const std::filesystem::path& target) {
  const auto objects = record.mirror / "objects";
  if (is_rootless()) return mount_bind(objects, target, BindMode::read_only);
  FR_TRY(const Descriptor map,
         make_id_map({{::geteuid(), record.owner_uid, 1}}, {{::getegid(), record.owner_gid, 1}}));
  return mount_id_mapped(objects, target, map.get(), BindMode::read_only);
}

}  // namespace

asio::awaitable<Result<ImageFacts>> JobRun::ensure_image(Cancellation& cancellation) {
  FR_CO_TRY(const auto reference, ImageReference::parse(job_.flow.image.name));
  FR_CO_TRY(const ImageStore store, ImageStore::open(context_.state.images()));
  PullOptions options;
  options.auth_file = job_.registry_auth_file;
  options.ca_file = job_.ca_file;
  options.timeout = job_.limits.pull_timeout;
  options.on_progress = [this](std::string_view text) { progress("image", text); };
  const auto asked = job_.pull_policy ? job_.pull_policy : job_.flow.image.pull_policy;
  FR_CO_TRY(auto image, co_await store.ensure(reference, effective_pull_policy(asked, reference),
                                              options, cancellation));
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

asio::awaitable<Result<std::string>> JobRun::target_default_branch(Cancellation& cancellation) {
  if (job_.publish.mode == PublishMode::local) co_return job_.repository.default_branch;
  if (target_url() == job_.repository.url) co_return repository_->default_branch;
  FR_CO_TRY(auto url,
            parse_remote_url(target_url(),
                             job_.repository.token.empty() ? TokenGiven::no : TokenGiven::yes));
  const std::vector<std::string> names;
  const Credential credential{job_.repository.username, job_.repository.token};
  const GitContext git{.ca_file = job_.ca_file,
                       .sanitize = [this](std::string_view text) { return masked(text); },
                       .on_progress = {}};
  FR_CO_TRY(const RemoteRefs refs, co_await list_remote(std::move(url), credential, names, git,
                                                        cancellation, std::chrono::minutes(1)));
  constexpr std::string_view heads = "refs/heads/";
  co_return refs.head_branch.starts_with(heads) ? refs.head_branch.substr(heads.size())
                                                : std::string();
}

JobRun::Stage JobRun::prepare_inputs() {
  using namespace asio::experimental::awaitable_operators;
  journal("image", {{"image", job_.flow.image.name}});
  // Image and repository come from different places: side by side. The first failure ends the
  // other.
  Cancellation both;
  const auto stop_link = cancellation_.on_request([&](StopCause cause) { both.request(cause); });
  const auto kill_link = cancellation_.on_kill([&](StopCause) { both.kill_now(); });
  std::optional<bool> image_failed_first;
  const auto timed = [&](auto work, std::optional<std::int64_t>& time,
                         bool is_image) -> decltype(work) {
    const Stopwatch watch;
    auto outcome = co_await std::move(work);
    time = watch.milliseconds();
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
    const auto default_branch = co_await target_default_branch(cancellation_);
    if (!default_branch) co_return fail(JobCause::workspace_failure, default_branch.error());
    const auto target = allowed_target(job_.publish, *default_branch);
    if (!target) co_return fail(JobCause::publish_refused, target.error());
  }
  const SnapshotInfo& snapshot = repository_->snapshot;
  if (!snapshot.submodules.empty())
    warn("submodules are not filled in: " + snapshot.submodules.front() +
         (snapshot.submodules.size() > 1 ? " and others" : ""));
  if (snapshot.lfs) warn("Git LFS files are not filled in: the job sees their pointers");
  co_return true;
}

JobRun::Stage JobRun::limit_disk() {
  const auto folder = context_.directory.overlay();
  if (::mkdir(folder.c_str(), 0711) != 0 && errno != EEXIST)
    co_return fail(JobCause::system_failure, errno_error("cannot make " + folder.string()));
  const DiskLimitSpec spec{.folder = folder,
                           .bytes = job_.limits.disk_bytes,
                           .free_floor = job_.limits.free_space_floor,
                           .first_project = ids_->base()};
  auto limit = DiskLimit::apply(co_await asio::this_coro::executor, spec);
  if (!limit) co_return fail(JobCause::resource_exhausted, limit.error());
  disk_.emplace(std::move(*limit));
  co_return true;
}

asio::awaitable<Result<void>> JobRun::create_workspace(const WorkspaceSpec& spec) {
  if (spec.kind == WorkspaceKind::overlay) co_return Workspace::create(spec);
  say("Workspace: a copy of the files, for without root there is no overlay to share them");
  progress("workspace", "copying the files");
  std::stop_source stop;
  const auto on_request = cancellation_.on_request([&](StopCause) { stop.request_stop(); });
  co_return co_await blocking_call([&] { return Workspace::create(spec, stop.get_token()); });
}

JobRun::Stage JobRun::prepare_workspace() {
  const Stopwatch watch;
  auto ids = is_rootless() ? Result<IdRange>(IdRange::of_user_namespace())
                           : IdRange::acquire(id_range_folder());
  if (!ids) co_return fail(JobCause::system_failure, ids.error());
  ids_.emplace(std::move(*ids));
  const auto user = resolve_user(image_->layers, image_->user);
  if (!user) co_return fail(JobCause::image_refused, user.error());
  user_ = *user;
  if (!co_await limit_disk()) co_return false;

  record_.kind = is_rootless() ? WorkspaceKind::copy : WorkspaceKind::overlay;
  record_.mirror = repository_->mirror;
  record_.base = repository_->commit;
  record_.snapshot_layers = repository_->layers;
  record_.owner_uid = ids_->base() + user_.uid;
  record_.owner_gid = ids_->base() + user_.gid;
  const bool remote = repository_->url.starts_with("http");
  WorkspaceSpec spec{
      .kind = record_.kind,
      .snapshot_layers = record_.snapshot_layers,
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
  if (const auto created = co_await create_workspace(spec); !created)
    co_return fail(JobCause::workspace_failure, created.error());
  // Without this line nobody could take up the work of a dead job.
  if (!journal("workspace", to_json(record_)))
    co_return fail(JobCause::system_failure,
                   {ErrorCode::unavailable, "the journal cannot be written"});
  auto workspace = Workspace::mount(spec);
  if (!workspace) co_return fail(JobCause::workspace_failure, workspace.error());
  workspace_.emplace(std::move(*workspace));
  result_.timings.workspace_ms = result_.timings.workspace_ms.value_or(0) + watch.milliseconds();
  co_return true;
}

asio::awaitable<Result<void>> JobRun::start_proxy() {
  const NetworkLog::Limits limits;
  FR_CO_TRY(network_log_, NetworkLog::open(
                              context_.directory.network_file(), patterns_,
                              [this](const std::string& line) { say(line); }, limits));
  ProxySpec spec;
  spec.program = context_.git_worker.parent_path() / "flow-runner-proxy";
  spec.listener_fd = sandbox_->proxy_listener();
  spec.policy = job_.network_policy;
  // Of the host's tools, so of the proxy: only the proxy variables mean anything to it.
  spec.upstream_environment = tool_environment();
  FR_CO_TRY(proxy_,
            NetworkProxy::start(co_await asio::this_coro::executor, spec,
                                [this](const NetworkEvent& event) { network_log_->add(event); }));
  co_return Result<void>();
}

asio::awaitable<void> JobRun::stop_proxy() {
  if (!proxy_) co_return;
  const auto stopped = co_await proxy_->stop(std::chrono::seconds(2));
  proxy_.reset();
  if (!stopped) warn(stopped.error().message);
  for (const auto& line : network_log_->summary()) say(line);
  if (const Error* error = network_log_->error())
    warn("network.jsonl is not complete: " + error->message);
}

JobRun::Stage JobRun::prepare_sandbox() {
  const Stopwatch watch;
  journal("sandbox");
  const auto scratch = context_.scratch;
  const auto root_overlay = context_.directory.overlay() / "root";
  for (const auto& [folder, mode] : {std::pair(scratch / "sandbox", 0711U),
                                     {scratch / "files", 0755U},
                                     {scratch / "objects", 0755U},
                                     {root_overlay, 0700U}})
    if (::mkdir(folder.c_str(), mode) != 0)
      co_return fail(JobCause::system_failure, errno_error("cannot make " + folder.string()));

  const ImageEnvironment environment{image_->env, user_.home, record_.owner_uid, record_.owner_gid};
  if (const auto written = write_job_files(scratch / "files", job_, variables_, environment);
      !written)
    co_return fail(JobCause::system_failure, written.error());
  if (const auto mounted = mount_objects(record_, scratch / "objects"); !mounted)
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
  spec.file_bytes = job_.limits.disk_bytes;
  spec.network = job_.network;
  spec.required_layers = job_.required_layers;
  sandbox_.emplace(context_.state.root / "runtime.json");
  if (const auto prepared = co_await sandbox_->prepare(std::move(spec), cancellation_); !prepared)
    co_return fail(JobCause::sandbox_refused, prepared.error());
  if (job_.network == NetworkMode::proxy)
    if (const auto started = co_await start_proxy(); !started)
      co_return fail(JobCause::sandbox_refused, started.error());
  result_.layers = sandbox_->layers();
  result_.missing_layers = sandbox_->missing_layers();
  for (const auto& layer : result_.missing_layers)
    warn("this host cannot give the layer " + layer + ", and the job runs without it");
  if (auto layer = disk_->layer(); !layer.empty()) result_.layers.push_back(std::move(layer));
  result_.timings.sandbox_ms = watch.milliseconds();
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

void JobRun::warn_of_limits(const SandboxExit& exit) {
  if (exit.swap_unlimited)
    warn(
        "this kernel does not account for swap: the job could use the host's swap beyond its "
        "memory "
        "limit; boot with swapaccount=1, or turn swap off");
  if (exit.refused_tasks > 0)
    warn("the job reached its limit of " + std::to_string(job_.limits.pids) +
         " processes; raise it with --pids");
  if (exit.oom_kills > 0 && exit.status.success())
    warn(std::to_string(exit.oom_kills) +
         (exit.oom_kills == 1 ? " process was" : " processes were") +
         " killed at the job's memory limit of " + format_bytes(job_.limits.memory_bytes) +
         ", though the script went on; raise it with --memory");
}

JobRun::Stage JobRun::run_script() {
  using namespace asio::experimental::awaitable_operators;
  const Stopwatch watch;
  const auto shell = find_shell();
  if (!shell) co_return fail(JobCause::image_refused, shell.error());
  auto pipe = make_pipe();
  if (!pipe) co_return fail(JobCause::system_failure, pipe.error());
  journal("script");
  progress("script", "");
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor output(executor, pipe->read.release());
  Alarm drain(executor);
  SandboxCommand command = shell_command({*shell, std::string(job_files_in_container) + "/script"});
  command.output_fd = pipe->write.get();
  const auto run_and_close = [&]() -> asio::awaitable<Result<SandboxExit>> {
    auto exit = co_await sandbox_->run(std::move(command), cancellation_);
    pipe->write.close();
    // Nothing of the job runs any more; who else holds the pipe got it from the job, and cannot
    // keep us.
    drain.set(std::chrono::seconds(1), [&output] { output.close(); });
    co_return exit;
  };
  disk_->watch(
      [this](const DiskExhaustion&) { cancellation_.request(StopCause::resource_exhausted); });
  auto [exit, bytes] = co_await (run_and_close() && read_output(output));
  result_.timings.script_ms = watch.milliseconds();
  log_->end_script();
  const auto disk_full = disk_->full();
  shell_next_ = context_.options.shell == ShellUse::on_failure && exit && !exit->status.success() &&
                !cancellation_.requested();
  if (!shell_next_) co_await leave_sandbox();
  if (!exit) co_return fail(JobCause::sandbox_refused, exit.error());
  result_.exit_code = exit->status.code;
  warn_of_limits(*exit);
  journal("script_ended", {{"exit_code", exit->status.code}});
  if (const auto stop = cancellation_.requested())
    co_return fail(cause_of(*stop), stopped_by(*stop, disk_full));
  if (exit->status.success()) co_return true;
  if (exit->oom_kills > 0)
    co_return fail(
        JobCause::resource_exhausted,
        {ErrorCode::denied, "the job's memory limit of " + format_bytes(job_.limits.memory_bytes) +
                                " was reached; raise it with --memory"});
  if (exit->refused_tasks > 0)
    co_return fail(JobCause::resource_exhausted,
                   {ErrorCode::denied,
                    "the script ended with exit code " + std::to_string(exit->status.code) +
                        " after the job had reached its limit of " +
                        std::to_string(job_.limits.pids) + " processes; raise it with --pids"});
  if (disk_full)
    co_return fail(JobCause::resource_exhausted, {ErrorCode::denied, describe(*disk_full)});
  if (exit->status.code == 128 + SIGXFSZ)
    co_return fail(
        JobCause::resource_exhausted,
        {ErrorCode::denied, "a file reached the job's disk limit of " +
                                format_bytes(job_.limits.disk_bytes) + "; raise it with --disk"});
  if (job_.network == NetworkMode::none)
    say("The job had no network. If it needs one: --network proxy --network-allow HOST:PORT.");
  else if (job_.network == NetworkMode::proxy && job_.network_policy.allow.empty())
    say("The job could reach nothing. If it needs the network: --network-allow HOST:PORT, or the "
        "presets agents, gitlab and registries.");
  co_return fail(JobCause::script_failure,
                 {ErrorCode::invalid_input,
                  "the script ended with exit code " + std::to_string(exit->status.code)});
}

}  // namespace flow_runner
