#include "sandbox/oci_sandbox.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "sandbox/alarm.hpp"
#include "sandbox/console_socket.hpp"
#include "sandbox/contained_processes.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/mount.hpp"
#include "sandbox/rootless.hpp"

namespace flow_runner {
namespace {

constexpr const char* init_in_container = "/run/flow-runner-init";

Result<void> make_directory(const std::filesystem::path& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) != 0) return errno_error("cannot make " + path.string());
  if (::chmod(path.c_str(), mode) != 0) return errno_error("cannot chmod " + path.string());
  return {};
}

/// Gives a namespace a path, for runtimes know them by path only.
Result<void> pin_namespace(const Descriptor& space, const std::filesystem::path& path) {
  FR_CHECK(replace_file(path, "", 0600));
  const std::string source = "/proc/self/fd/" + std::to_string(space.get());
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return errno_error("cannot pin a namespace on " + path.string());
  return {};
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_required(std::string_view layer, const std::vector<std::string>& required) {
  return contains(required, "all") || contains(required, layer);
}

Error missing_layer(const std::string& layer) {
  std::string cure = "enable the cgroup controller in the kernel, or ask for no such limit (0)";
  if (is_rootless())
    cure =
        "without root it takes a cgroup that was delegated to the user: start flow-runner by "
        "`systemd-run --user --scope --property=Delegate=yes flow-runner …`; or go on without by "
        "naming what you insist on: `--sandbox-require none`";
  return {ErrorCode::denied,
          "this host cannot give the job the layer " + layer + ": no cgroup enforces it; " + cure};
}

/// None above what this process has: only CAP_SYS_RESOURCE could raise it.
std::vector<std::pair<int, std::uint64_t>> resource_limits(const SandboxSpec& spec) {
  constexpr std::uint64_t max_open_files = 1 << 20;
  const auto at_most = [](int resource, std::uint64_t wanted) {
    rlimit own{};
    ::getrlimit(static_cast<__rlimit_resource>(resource), &own);
    return std::pair(resource, std::min<std::uint64_t>(own.rlim_max, wanted));
  };
  std::vector<std::pair<int, std::uint64_t>> limits = {at_most(RLIMIT_NOFILE, max_open_files),
                                                       {RLIMIT_CORE, 0}};
  if (spec.file_bytes > 0) limits.push_back(at_most(RLIMIT_FSIZE, spec.file_bytes));
  return limits;
}

/// What a runtime's log says of a container that could not start. crun writes nothing else; runc
/// also complains of a cgroup that it cannot remove, because it is in it.
std::string failure_in(const std::string& log, const OciRuntime& runtime) {
  if (!runtime.is_runc()) return log;
  std::string failure;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);)
    if (line.find("runc run failed") != std::string::npos) failure += line + "\n";
  return failure;
}

}  // namespace

void hide_hybrid_cgroup_tree() noexcept {
  // What was mounted outside of a user namespace cannot be unmounted in it, only covered.
  if (is_rootless())
    (void)mount_tmpfs("/sys/fs/cgroup", 4096, 0755);
  else
    unmount("/sys/fs/cgroup/unified");
}

OciSandbox::OciSandbox(std::filesystem::path runtime_cache)
    : runtime_cache_(std::move(runtime_cache)) {}

OciSandbox::~OciSandbox() {
  if (mounted_) unmount(spec_.scratch / "root");
}

asio::awaitable<Result<void>> OciSandbox::prepare(SandboxSpec spec, Cancellation& cancellation) {
  spec_ = std::move(spec);
  FR_CO_TRY(init_, find_init());
  FR_CO_CHECK(make_cgroup());
  hide_hybrid_cgroup_tree();
  FR_CO_TRY(runtime_, co_await find_oci_runtime(runtime_cache_, spec_.scratch, cancellation));
  FR_CO_CHECK(check_runtime());
  FR_CO_CHECK(make_namespaces());
  FR_CO_CHECK(mount_root());
  FR_CO_CHECK(write_network_files());
  co_return Result<void>();
}

Result<void> OciSandbox::make_cgroup() {
  const auto hierarchies = host_cgroup_hierarchies();
  cgroup_at_top_ = std::all_of(hierarchies.begin(), hierarchies.end(),
                               [](const CgroupHierarchy& hierarchy) { return hierarchy.at_top; });
  missing_ = missing_controllers(hierarchies, spec_.limits);
  for (const auto& layer : missing_)
    if (is_required(layer, spec_.required_layers)) return missing_layer(layer);
  const auto lacks = [this](const char* layer) { return contains(missing_, layer); };
  if (lacks("cgroup_memory")) spec_.limits.memory_bytes = 0;
  if (lacks("cgroup_pids")) spec_.limits.pids = 0;
  if (lacks("cgroup_cpu")) spec_.limits.cpus = 0;
  FR_TRY(cgroup_, Cgroup::create(hierarchies, spec_.id, spec_.limits));
  return {};
}

Result<void> OciSandbox::check_runtime() const {
  if (!runtime_->wants_cgroup_path || cgroup_at_top_) return {};
  return Error{ErrorCode::denied,
               "runc would move the job out of its cgroup, and so out of its limits, for "
               "flow-runner itself runs in a cgroup below the top here; install crun"};
}

/// The cgroup holds all that the job started; without one its PID namespace does.
void OciSandbox::signal(int number, int except) const {
  if (cgroup_->exists())
    cgroup_->signal(number, except);
  else
    (void)signal_contained_processes(number);
}

Result<void> OciSandbox::kill(std::chrono::milliseconds deadline) {
  return cgroup_->exists() ? cgroup_->kill(deadline) : kill_contained_processes(deadline);
}

Result<void> OciSandbox::make_namespaces() {
  JobNetwork network = JobNetwork::isolated;
  if (spec_.network == NetworkMode::host) network = JobNetwork::shared;
  if (spec_.network == NetworkMode::proxy) network = JobNetwork::with_listener;
  FR_TRY(namespaces_, make_job_namespaces(spec_.ids->whole(), network));
  FR_CHECK(pin_namespace(namespaces_.user, spec_.scratch / "ns-user"));
  if (namespaces_.network) FR_CHECK(pin_namespace(namespaces_.network, spec_.scratch / "ns-net"));
  return {};
}

Result<void> OciSandbox::mount_root() {
  const auto base = spec_.ids->base();
  const OverlaySpec overlay{.lower = spec_.image_layers,
                            .upper = spec_.root_overlay / "upper",
                            .work = spec_.root_overlay / "work",
                            .is_volatile = true,
                            .user_xattr = is_rootless()};
  FR_CHECK(make_directory(overlay.upper, 0755));
  FR_CHECK(make_directory(overlay.work, 0700));
  if (::chown(overlay.upper.c_str(), base, base) != 0)
    return errno_error("cannot chown the root overlay");
  FR_CHECK(make_directory(spec_.scratch / "layers", 0711));
  FR_CHECK(make_directory(spec_.scratch / "root", 0755));
  Descriptor map;
  // A rootless store holds its layers with the ids that a job has: nothing to translate.
  if (!is_rootless()) {
    FR_TRY(map, make_id_map({spec_.ids->whole()}, {spec_.ids->whole()}));
  }
  FR_CHECK(mount_overlay(overlay, spec_.scratch / "root", spec_.scratch / "layers", map.get()));
  mounted_ = true;
  return {};
}

Result<void> OciSandbox::write_network_files() {
  const auto folder = spec_.scratch / "etc";
  FR_CHECK(make_directory(folder, 0755));
  std::string resolv = "# this job resolves no names itself\n";
  std::string hosts = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 flow\n";
  if (spec_.network == NetworkMode::host) {
    if (auto text = read_file("/etc/resolv.conf", 1 << 16)) resolv = std::move(*text);
    if (auto text = read_file("/etc/hosts", 1 << 20)) hosts = std::move(*text) + "127.0.1.1 flow\n";
  }
  FR_CHECK(replace_file(folder / "resolv.conf", resolv, 0644));
  FR_CHECK(replace_file(folder / "hosts", hosts, 0644));
  return replace_file(folder / "hostname", "flow\n", 0644);
}

BundleSpec OciSandbox::bundle_for(const SandboxCommand& command) const {
  BundleSpec bundle;
  bundle.rootfs = spec_.scratch / "root";
  bundle.argv = {init_in_container, "--"};
  bundle.argv.insert(bundle.argv.end(), command.argv.begin(), command.argv.end());
  bundle.environment = command.environment;
  bundle.working_directory = command.working_directory;
  bundle.uid = spec_.uid;
  bundle.gid = spec_.gid;
  bundle.groups = spec_.groups;
  bundle.ids = spec_.ids->whole();
  for (const char* file : {"resolv.conf", "hosts", "hostname"})
    bundle.mounts.push_back(
        {spec_.scratch / "etc" / file, std::filesystem::path("/etc") / file, true});
  bundle.mounts.push_back({init_, init_in_container, true});
  bundle.mounts.insert(bundle.mounts.end(), spec_.mounts.begin(), spec_.mounts.end());
  bundle.terminal = command.on_terminal != nullptr;
  bundle.network = spec_.network;
  bundle.user_namespace = spec_.scratch / "ns-user";
  if (namespaces_.network) bundle.network_namespace = spec_.scratch / "ns-net";
  bundle.tmp_bytes = spec_.tmp_bytes;
  bundle.taken_away = spec_.taken_away;
  if (runtime_->wants_cgroup_path) bundle.cgroup_path = "/flow-runner/" + cgroup_->name();
  return bundle;
}

asio::awaitable<Result<SandboxExit>> OciSandbox::run(SandboxCommand command,
                                                     Cancellation& cancellation) {
  if (cancellation.requested())
    co_return Error{ErrorCode::cancelled, "the command was not started"};
  const std::string name = spec_.id + "-" + std::to_string(++runs_);
  const auto bundle = spec_.scratch / ("run-" + std::to_string(runs_));
  FR_CO_CHECK(make_directory(bundle, 0700));
  FR_CO_TRY(const Descriptor config,
            open_file(bundle / "config.json", O_WRONLY | O_CREAT | O_EXCL, 0600));
  FR_CO_CHECK(write_all(config.get(), oci_config(bundle_for(command)).dump()));

  ProcessSpec process_spec;
  process_spec.argv =
      runtime_->run_command(spec_.scratch / "runtime", bundle, bundle / "log", name);
  const auto executor = co_await asio::this_coro::executor;
  std::optional<ConsoleSocket> console;
  if (command.on_terminal) {
    if (runtime_->is_runc())
      co_return Error{ErrorCode::denied,
                      "runc gives a terminal to detached containers only; install crun"};
    const auto place = bundle / "console";
    FR_CO_TRY(console, ConsoleSocket::listen(executor, place));
    // Before the container's name, which is the last word.
    const std::vector<std::string> option = {"--console-socket", place.string()};
    process_spec.argv.insert(process_spec.argv.end() - 1, option.begin(), option.end());
  }
  process_spec.environment = tool_environment();
  process_spec.stdout_fd = command.output_fd;
  process_spec.stderr_fd = command.output_fd;
  process_spec.cgroup_procs = cgroup_->procs_files();
  process_spec.resource_limits = resource_limits(spec_);
  const std::uint64_t oom_before = cgroup_->oom_kills();
  const std::uint64_t refused_before = cgroup_->refused_tasks();
  FR_CO_TRY(Process process, Process::spawn(executor, process_spec));

  Alarm grace(executor);
  const auto kill_all = [this, &process] {
    process.signal_group(SIGKILL);
    (void)kill(std::chrono::milliseconds(0));
  };
  const auto on_request = cancellation.on_request([&](StopCause cause) {
    // Whoever has used up a limit would go on using it up during the grace.
    if (cause == StopCause::resource_exhausted) return kill_all();
    signal(SIGTERM, process.pid());
    grace.set(command.grace, kill_all);
  });
  const auto on_kill = cancellation.on_kill([&](StopCause) { kill_all(); });
  const auto end = [&]() -> asio::awaitable<Result<ExitStatus>> {
    auto ended = co_await process.wait();
    if (console) console->close();
    co_return ended;
  };
  const auto take_terminal = [&]() -> asio::awaitable<void> {
    if (!console) co_return;
    if (auto master = co_await console->receive()) command.on_terminal(std::move(*master));
  };
  using namespace asio::experimental::awaitable_operators;
  const Result<ExitStatus> ended = co_await (end() && take_terminal());
  FR_CO_TRY(const ExitStatus status, ended);
  FR_CO_CHECK(kill(std::chrono::seconds(10)));
  const SandboxExit exit{status, cgroup_->oom_kills() - oom_before,
                         cgroup_->refused_tasks() - refused_before, cgroup_->swap_unlimited()};

  // The runtime reports its own failures in its log; the command's exit code alone cannot tell them
  // apart.
  const auto log = read_file(bundle / "log", 1 << 16);
  const std::string failure = log ? failure_in(*log, *runtime_) : std::string();
  if (!status.success() && !failure.empty() && !cancellation.requested() && exit.oom_kills == 0)
    co_return Error{ErrorCode::denied, runtime_->program.filename().string() +
                                           " could not start the container: " + failure};
  co_return exit;
}

asio::awaitable<Result<void>> OciSandbox::destroy() {
  if (cgroup_) {
    auto killed = kill(std::chrono::seconds(10));
    cgroup_.reset();
    if (!killed) co_return killed.error();
  }
  namespaces_ = {};
  if (std::exchange(mounted_, false)) unmount(spec_.scratch / "root");
  co_return Result<void>();
}

std::vector<std::string> OciSandbox::layers() const {
  using enum SandboxLayer;
  std::vector<std::string> names;
  for (const auto layer : {user_namespace, pid_namespace, mount_namespace, ipc_namespace,
                           uts_namespace, cgroup_namespace, seccomp, no_new_privs, capabilities,
                           masked_paths, read_only_paths, devices})
    if (!spec_.taken_away.has(layer)) names.emplace_back(to_string(layer));
  if (spec_.network == NetworkMode::none) names.emplace_back("network_none");
  if (spec_.network == NetworkMode::proxy) names.emplace_back("network_proxy");
  if (spec_.limits.memory_bytes > 0) names.emplace_back(to_string(cgroup_memory));
  if (spec_.limits.pids > 0) names.emplace_back(to_string(cgroup_pids));
  if (spec_.limits.cpus > 0) names.emplace_back(to_string(cgroup_cpu));
  return names;
}

}  // namespace flow_runner
