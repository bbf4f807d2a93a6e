#include "sandbox/isolation_probe_run.hpp"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include "sandbox/disk_limit.hpp"
#include "sandbox/mount.hpp"
#include "sandbox/network_proxy.hpp"
#include "sandbox/oci_sandbox.hpp"
#include "sandbox/probe/probe_facts.hpp"
#include "sandbox/probe_outside.hpp"
#include "sandbox/rootless.hpp"
#include "sandbox/scratch.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

// Small enough to be reached at once, large enough for a runtime and its init.
constexpr std::uint64_t memory_bytes = 192ULL << 20;
constexpr std::uint64_t tasks = 64;
constexpr std::uint64_t tmp_bytes = 8ULL << 20;
constexpr std::uint64_t disk_bytes = 32ULL << 20;
constexpr std::uint64_t no_tmp_limit = 256ULL << 20;
constexpr std::uint64_t scratch_bytes = 64ULL << 20;
constexpr std::size_t max_output = 1 << 20;
constexpr const char* secret_name = "FLOW_RUNNER_PROBE_SECRET";

/// The sandbox of one report, and what belongs to it.
class ProbeRun {
 public:
  ProbeRun(const IsolationProbeSpec& spec, fs::path scratch, const ProbeOutside& outside)
      : spec_(spec), scratch_(std::move(scratch)), outside_(outside),
        sandbox_(scratch_ / "runtime.json") {}

  asio::awaitable<Result<IsolationReport>> run() {
    auto report = co_await try_ways_out();
    if (proxy_) (void)co_await proxy_->stop(std::chrono::seconds(2));
    const auto destroyed = co_await sandbox_.destroy();
    if (report && !destroyed) co_return destroyed.error();
    co_return report;
  }

 private:
  [[nodiscard]] bool goes_without(SandboxLayer layer) const { return spec_.taken_away.has(layer); }
  [[nodiscard]] bool is_wanted(std::string_view id) const {
    return spec_.only.empty() ||
           std::find(spec_.only.begin(), spec_.only.end(), id) != spec_.only.end();
  }

  asio::awaitable<Result<IsolationReport>> try_ways_out() {
    FR_CO_CHECK(make_image());
    SandboxSpec sandbox = sandbox_spec();
    FR_CO_CHECK(co_await sandbox_.prepare(std::move(sandbox), cancellation_));
    const auto executor = co_await asio::this_coro::executor;
    if (spec_.network == NetworkMode::proxy) FR_CO_CHECK(start_proxy(executor));
    IsolationReport report{{}, sandbox_.layers(), sandbox_.missing_layers()};
    std::vector<std::string> ids;
    for (const auto& probe : probe_table)
      if (is_wanted(probe.id) && probe.id != fatal_probe) ids.emplace_back(probe.id);
    if (!ids.empty()) FR_CO_CHECK(co_await attempt(std::move(ids), report));
    if (is_wanted(fatal_probe)) FR_CO_CHECK(co_await attempt_to_fill_the_disk(report));
    co_return report;
  }

  /// A root with nothing in it but the prober, owned as an image of the store is.
  Result<void> make_image() {
    auto ids = is_rootless() ? Result<IdRange>(IdRange::of_user_namespace())
                             : IdRange::acquire(id_range_folder());
    if (!ids) return ids.error();
    ids_ = std::move(*ids);
    const auto image = spec_.folder / "image";
    std::error_code error;
    for (const char* folder : {"tmp", "var/tmp", "root"})
      if (!error) fs::create_directories(image / folder, error);
    if (!error) fs::copy_file(spec_.programs / "flow-runner-probe", image / "probe", error);
    if (!error) fs::create_directories(spec_.folder / "root", error);
    if (error)
      return Error{ErrorCode::internal, "cannot make the probe's image from " +
                                            (spec_.programs / "flow-runner-probe").string() + ": " +
                                            error.message()};
    if (!is_rootless()) return {};
    for (const auto& entry : fs::recursive_directory_iterator(image))
      if (::lchown(entry.path().c_str(), ids_->base(), ids_->base()) != 0)
        return errno_error("cannot chown the probe's image");
    if (::lchown(image.c_str(), ids_->base(), ids_->base()) != 0)
      return errno_error("cannot chown the probe's image");
    return {};
  }

  [[nodiscard]] SandboxSpec sandbox_spec() const {
    SandboxSpec sandbox;
    sandbox.id = "probe-" + spec_.folder.filename().string();
    sandbox.scratch = scratch_ / "sandbox";
    sandbox.root_overlay = spec_.folder / "root";
    sandbox.image_layers = {spec_.folder / "image"};
    sandbox.ids = &*ids_;
    sandbox.limits.memory_bytes = goes_without(SandboxLayer::cgroup_memory) ? 0 : memory_bytes;
    sandbox.limits.pids = goes_without(SandboxLayer::cgroup_pids) ? 0 : tasks;
    sandbox.tmp_bytes = goes_without(SandboxLayer::disk) ? no_tmp_limit : tmp_bytes;
    sandbox.file_bytes = goes_without(SandboxLayer::disk) ? 0 : disk_bytes;
    sandbox.network = spec_.network;
    sandbox.required_layers = spec_.required_layers;
    sandbox.taken_away = spec_.taken_away;
    // Sharing the host's mount namespace would show the job this folder, among others.
    if (goes_without(SandboxLayer::mount_namespace))
      sandbox.mounts.push_back({outside_.folder(), outside_.folder(), false});
    return sandbox;
  }

  Result<void> start_proxy(asio::any_io_executor executor) {
    ProxySpec proxy;
    proxy.program = spec_.programs / "flow-runner-proxy";
    proxy.listener_fd = sandbox_.proxy_listener();
    if (goes_without(SandboxLayer::network_policy))
      for (const char* host : {probe_facts::outside, probe_facts::metadata}) {
        FR_TRY(const auto rule, parse_network_rule(std::string(host) + ":*", "the probe"));
        proxy.policy.allow.push_back(rule);
      }
    FR_TRY(proxy_, NetworkProxy::start(executor, proxy, [](const NetworkEvent&) {}));
    return {};
  }

  [[nodiscard]] SandboxCommand command(std::vector<std::string> ids, int output) const {
    SandboxCommand command;
    command.argv = {"/probe"};
    command.argv.insert(command.argv.end(), std::make_move_iterator(ids.begin()),
                        std::make_move_iterator(ids.end()));
    command.environment = outside_.facts();
    const auto add = [&](const char* name, const std::string& value) {
      command.environment.push_back(std::string(name) + "=" + value);
    };
    add(probe_facts::secret_name, secret_name);
    add(probe_facts::memory_bytes, std::to_string(memory_bytes));
    add(probe_facts::tasks, std::to_string(tasks));
    add(probe_facts::file_bytes, std::to_string(disk_bytes));
    add(probe_facts::tmp_bytes, std::to_string(tmp_bytes));
    add(probe_facts::disk_bytes, std::to_string(disk_bytes));
    command.working_directory = "/";
    command.output_fd = output;
    return command;
  }

  /// Runs the prober and adds what it says; of a probe about which it says nothing, that.
  asio::awaitable<Result<void>> attempt(std::vector<std::string> ids, IsolationReport& report) {
    FR_CO_TRY(const Descriptor output,
              open_file(scratch_ / "output", O_RDWR | O_CREAT | O_TRUNC, 0600));
    SandboxCommand prober = command(ids, output.get());
    FR_CO_TRY(const SandboxExit exit, co_await sandbox_.run(std::move(prober), cancellation_));
    FR_CO_TRY(const std::string text, read_file(scratch_ / "output", max_output));
    const std::string ending =
        "the prober ended with exit code " + std::to_string(exit.status.code);
    for (const auto& id : ids) report.probes.push_back(outcome_of(id, text, ending));
    co_return Result<void>();
  }

  static ProbeOutcome outcome_of(std::string_view id, const std::string& text,
                                 const std::string& ending) {
    ProbeOutcome outcome;
    for (const auto& probe : probe_table)
      if (probe.id == id) outcome.id = probe.id;
    outcome.detail = ending + " before this probe";
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const auto value = nlohmann::json::parse(line, nullptr, false);
      if (!value.is_object() || value.value("id", "") != id) continue;
      const std::string said = value.value("outcome", "");
      if (said == "closed") outcome.verdict = ProbeVerdict::closed;
      if (said == "open") outcome.verdict = ProbeVerdict::open;
      outcome.detail = value.value("detail", "");
    }
    return outcome;
  }

  /// The job ends for it: that is what closes this way.
  asio::awaitable<Result<void>> attempt_to_fill_the_disk(IsolationReport& report) {
    DiskLimitSpec disk;
    disk.folder = spec_.folder / "root";
    disk.bytes = goes_without(SandboxLayer::disk) ? 0 : disk_bytes;
    FR_CO_TRY(auto limit, DiskLimit::apply(co_await asio::this_coro::executor, disk));
    std::optional<DiskExhaustion> exhausted;
    limit.watch([&](const DiskExhaustion& exhaustion) {
      exhausted = exhaustion;
      cancellation_.request(StopCause::resource_exhausted);
    });
    std::vector<std::string> ids(1, std::string(fatal_probe));
    FR_CO_CHECK(co_await attempt(std::move(ids), report));
    FR_CO_CHECK(limit.lift());
    auto& outcome = report.probes.back();
    if (exhausted && outcome.verdict == ProbeVerdict::not_run)
      outcome = {outcome.id, ProbeVerdict::closed, "the job was ended: " + describe(*exhausted)};
    co_return Result<void>();
  }

  const IsolationProbeSpec& spec_;
  fs::path scratch_;
  const ProbeOutside& outside_;
  OciSandbox sandbox_;
  Cancellation cancellation_;
  std::optional<IdRange> ids_;
  std::unique_ptr<NetworkProxy> proxy_;
};

Result<fs::path> prepare_mounts() {
  FR_CHECK(enter_mount_namespace(ProcMount::fresh));
  FR_TRY(auto scratch, scratch_folder());
  FR_CHECK(mount_tmpfs(scratch, scratch_bytes, 0711));
  for (const auto& [name, mode] : {std::pair("sandbox", 0711U), {"outside", 0755U}})
    if (::mkdir((scratch / name).c_str(), mode) != 0)
      return errno_error("cannot make a folder in " + scratch.string());
  return scratch;
}

}  // namespace

Result<IsolationReport> run_isolation_probe(const IsolationProbeSpec& spec) {
  FR_TRY(const auto scratch, prepare_mounts());
  FR_TRY(const auto outside, ProbeOutside::start(scratch / "outside"));
  // In the runner's environment, and in no job's.
  ::setenv(secret_name, "1", 1);
  asio::io_context loop(1);
  ProbeRun run(spec, scratch, outside);
  Result<IsolationReport> report = Error{ErrorCode::internal, "the isolation probe did not end"};
  std::exception_ptr escaped;
  asio::co_spawn(loop, run.run(),
                 [&](const std::exception_ptr& error, Result<IsolationReport> outcome) {
                   escaped = error;
                   if (!error) report = std::move(outcome);
                 });
  loop.run();
  if (escaped) std::rethrow_exception(escaped);
  return report;
}

}  // namespace flow_runner
