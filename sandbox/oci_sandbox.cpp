#include "sandbox/oci_sandbox.hpp"

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/alarm.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/mount.hpp"

namespace flow_runner {
namespace {

constexpr const char* init_in_container = "/run/flow-runner-init";

Result<void> make_directory(const std::filesystem::path& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) != 0) return errno_error("cannot make " + path.string());
  if (::chmod(path.c_str(), mode) != 0) return errno_error("cannot chmod " + path.string());
  return {};
}

std::uint64_t open_files_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<std::uint64_t>(limit.rlim_max, 1 << 20);
}

std::uint64_t file_bytes_limit(std::uint64_t wanted) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  return limit.rlim_max == RLIM_INFINITY ? wanted : std::min<std::uint64_t>(wanted, limit.rlim_max);
}

}  // namespace

void hide_hybrid_cgroup_tree() noexcept { unmount("/sys/fs/cgroup/unified"); }

OciSandbox::OciSandbox(std::filesystem::path runtime_cache)
    : runtime_cache_(std::move(runtime_cache)) {}

OciSandbox::~OciSandbox() {
  if (mounted_) unmount(spec_.scratch / "root");
}

asio::awaitable<Result<void>> OciSandbox::prepare(SandboxSpec spec, Cancellation& cancellation) {
  spec_ = std::move(spec);
  FR_CO_TRY(init_, find_init());
  FR_CO_TRY(cgroup_, Cgroup::create(host_cgroup_hierarchies(), spec_.id, spec_.limits));
  hide_hybrid_cgroup_tree();
  FR_CO_TRY(runtime_, co_await find_oci_runtime(runtime_cache_, spec_.scratch, cancellation));
  FR_CO_CHECK(mount_root());
  FR_CO_CHECK(write_network_files());
  co_return Result<void>();
}

Result<void> OciSandbox::mount_root() {
  const auto base = spec_.ids->base();
  const OverlaySpec overlay{.lower = spec_.image_layers,
                            .upper = spec_.root_overlay / "upper",
                            .work = spec_.root_overlay / "work",
                            .is_volatile = true};
  FR_CHECK(make_directory(overlay.upper, 0755));
  FR_CHECK(make_directory(overlay.work, 0700));
  if (::chown(overlay.upper.c_str(), base, base) != 0)
    return errno_error("cannot chown the root overlay");
  FR_CHECK(make_directory(spec_.scratch / "layers", 0711));
  FR_CHECK(make_directory(spec_.scratch / "root", 0755));
  FR_TRY(const Descriptor map, make_id_map(spec_.ids->whole(), spec_.ids->whole()));
  FR_CHECK(mount_overlay(overlay, spec_.scratch / "root", spec_.scratch / "layers", map.get()));
  mounted_ = true;
  return {};
}

Result<void> OciSandbox::write_network_files() {
  const auto folder = spec_.scratch / "etc";
  FR_CHECK(make_directory(folder, 0755));
  std::string resolv = "# this job has no network\n";
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
  bundle.network = spec_.network;
  bundle.tmp_bytes = spec_.tmp_bytes;
  bundle.open_files = open_files_limit();
  bundle.file_bytes = file_bytes_limit(spec_.file_bytes);
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
  process_spec.environment = tool_environment();
  process_spec.stdout_fd = command.output_fd;
  process_spec.stderr_fd = command.output_fd;
  process_spec.cgroup_procs = cgroup_->procs_files();
  const auto executor = co_await asio::this_coro::executor;
  const std::uint64_t oom_before = cgroup_->oom_kills();
  const std::uint64_t refused_before = cgroup_->refused_tasks();
  FR_CO_TRY(Process process, Process::spawn(executor, process_spec));

  Alarm grace(executor);
  const auto kill_all = [this, &process] {
    process.signal_group(SIGKILL);
    (void)cgroup_->kill(std::chrono::milliseconds(0));
  };
  const auto on_request = cancellation.on_request([&](StopCause cause) {
    // Whoever has used up a limit would go on using it up during the grace.
    if (cause == StopCause::resource_exhausted) return kill_all();
    cgroup_->signal(SIGTERM, process.pid());
    grace.set(command.grace, kill_all);
  });
  const auto on_kill = cancellation.on_kill([&](StopCause) { kill_all(); });
  FR_CO_TRY(const ExitStatus status, co_await process.wait());
  FR_CO_CHECK(cgroup_->kill(std::chrono::seconds(10)));
  const SandboxExit exit{status, cgroup_->oom_kills() - oom_before,
                         cgroup_->refused_tasks() - refused_before, cgroup_->swap_unlimited()};

  // The runtime reports its own failures in its log; the command's exit code alone cannot tell them
  // apart.
  const auto log = read_file(bundle / "log", 1 << 16);
  if (!status.success() && log && !log->empty() && !cancellation.requested() && exit.oom_kills == 0)
    co_return Error{ErrorCode::denied, runtime_->program.filename().string() +
                                           " could not start the container: " + *log};
  co_return exit;
}

asio::awaitable<Result<void>> OciSandbox::destroy() {
  if (cgroup_) {
    auto killed = cgroup_->kill(std::chrono::seconds(10));
    cgroup_.reset();
    if (!killed) co_return killed.error();
  }
  if (std::exchange(mounted_, false)) unmount(spec_.scratch / "root");
  co_return Result<void>();
}

std::vector<std::string> OciSandbox::layers() const {
  std::vector<std::string> names = {"user_namespace", "pid_namespace", "mount_namespace", "seccomp",
                                    "no_new_privs",   "capabilities",  "masked_paths"};
  if (spec_.network == NetworkMode::none) names.emplace_back("network_none");
  if (spec_.limits.memory_bytes > 0) names.emplace_back("cgroup_memory");
  if (spec_.limits.pids > 0) names.emplace_back("cgroup_pids");
  if (spec_.limits.cpus > 0) names.emplace_back("cgroup_cpu");
  return names;
}

}  // namespace flow_runner
