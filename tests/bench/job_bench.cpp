// How long a whole job takes that does nothing, against a bare runtime and `podman run`, and the
// masker's throughput: all in one run, as ratios.
#include <algorithm>
#include <array>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <sched.h>
#include <stdexcept>
#include <unistd.h>

#include "sandbox/mount.hpp"
#include "sandbox/oci_bundle.hpp"
#include "sandbox/oci_runtime.hpp"
#include "sandbox/oci_sandbox.hpp"
#include "tests/bench/measure.hpp"
#include "tests/fixtures/git_repository.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/state_folder.hpp"
#include "tests/fixtures/temporary_directory.hpp"

namespace {

using namespace flow_runner;
using bench::Samples;
using fixtures::CommandSpec;

constexpr int warm_up_rounds = 3;
constexpr int rounds = 21;
// Below what any caller may set.
constexpr const char* file_limit = "nofile=1024:1024";
constexpr const char* process_limit = "nproc=4096:4096";

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void must(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

/// A mount namespace without a hybrid host's v2 tree, which crun refuses to start beside: the job
/// has such a namespace too. The process is moved in and out of it; it has one thread.
class PrivateMounts {
 public:
  PrivateMounts() : host_(must(open_file("/proc/self/ns/mnt", O_RDONLY))) {
    must(enter_mount_namespace(ProcMount::keep));
    hide_hybrid_cgroup_tree();
    own_ = must(open_file("/proc/self/ns/mnt", O_RDONLY));
    go(host_);
  }

  bench::Timed timed(const CommandSpec& spec) const {
    go(own_);
    auto ran = bench::timed(spec);
    go(host_);
    return ran;
  }

 private:
  static void go(const Descriptor& where) {
    if (::setns(where.get(), CLONE_NEWNS) != 0)
      throw std::runtime_error("cannot change the mount namespace");
  }

  Descriptor host_;
  Descriptor own_;
};

/// `flow-runner exec` with the script `true` on a small repository.
class EmptyJob {
 public:
  EmptyJob() {
    must(state_.load_image("busybox"));
    fixtures::GitRepository project(folder_ / "project");
    project.write("README.md", "A project\n").write("src/main.c", "int main(void) {}\n");
    project.commit("A project");
    const auto origin = fixtures::GitRepository::bare_clone(project.path(), folder_ / "origin.git");
    // A folder's own origin is what would be pushed to.
    origin.git({"remote", "remove", "origin"});
    origin_ = origin.path();
    fixtures::write_file(folder_ / "flow.yml",
                         "image: localhost/busybox\ncommands: ['true']\nvariables: []\n");
  }

  bench::TimedJob run(const char* network) const {
    return bench::timed_job({.argv = {fixtures::program("flow-runner"), "exec", "--json", "--repo",
                                      origin_, "--push", "--workload-ref", "workloads/bench",
                                      "--network", network, "--state-dir", state_.path(),
                                      folder_ / "flow.yml"}});
  }

  /// The runtime that the job chose on this host.
  [[nodiscard]] OciRuntime runtime() const {
    const auto chosen = nlohmann::json::parse(fixtures::slurp(state_.path() / "runtime.json"));
    const std::filesystem::path program = chosen.at("program").get<std::string>();
    return {program, program.filename() == "runc"};
  }

 private:
  fixtures::StateFolder state_;
  fixtures::TemporaryDirectory folder_;
  std::filesystem::path origin_;
};

/// The runtime's `run` of a bundle like the job's, on a plain copy of the same image.
class BareRuntime {
 public:
  explicit BareRuntime(OciRuntime runtime) : runtime_(std::move(runtime)) {
    const auto archive = must(fixtures::image_archive("busybox"));
    const auto rootfs = folder_ / "rootfs";
    std::filesystem::create_directories(rootfs);
    bench::timed({.argv = {"tar", "-xf", archive, "-C", folder_.path(), "layer.tar"}});
    bench::timed({.argv = {"tar", "-xf", folder_ / "layer.tar", "-C", rootfs}});
    constexpr std::uint32_t owner = IdRange::default_first - IdRange::size;
    const auto ids = std::to_string(owner) + ":" + std::to_string(owner);
    bench::timed({.argv = {"chown", "-hR", ids, rootfs}});
    // The container's root walks through it.
    bench::timed({.argv = {"chmod", "0755", folder_.path(), rootfs}});
    BundleSpec spec;
    spec.rootfs = rootfs;
    spec.argv = {"/bin/true"};
    spec.ids = {0, owner, IdRange::size};
    if (runtime_.wants_cgroup_path) spec.cgroup_path = "/flow-runner-bench";
    fixtures::write_file(folder_ / "config.json", oci_config(spec).dump(), 0600);
  }

  [[nodiscard]] CommandSpec command() const {
    return {.argv = runtime_.run_command(folder_ / "run", folder_.path(), folder_ / "log",
                                         "flow-runner-bench-" + std::to_string(::getpid()))};
  }

 private:
  OciRuntime runtime_;
  fixtures::TemporaryDirectory folder_;
};

/// `podman run` of the same image with the same runtime, on a store of its own.
class PodmanRun {
 public:
  explicit PodmanRun(const OciRuntime& runtime, const PrivateMounts& mounts) {
    podman_ = {"podman",
               "--root",
               folder_ / "storage",
               "--runroot",
               folder_ / "run",
               "--tmpdir",
               folder_ / "tmp",
               "--storage-driver=overlay",
               "--cgroup-manager=cgroupfs",
               "--events-backend=none",
               "--runtime",
               runtime.program};
    mounts.timed(with({"load", "--quiet", "--input", must(fixtures::image_archive("busybox"))}));
  }

  [[nodiscard]] CommandSpec command() const {
    return with({"run", "--rm", "--network=none", "--ulimit", file_limit, "--ulimit", process_limit,
                 "localhost/busybox", "true"});
  }

 private:
  [[nodiscard]] CommandSpec with(const std::vector<std::string>& arguments) const {
    CommandSpec spec{.argv = podman_};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    return spec;
  }

  fixtures::TemporaryDirectory folder_;
  std::vector<std::string> podman_;
};

constexpr std::array phases = {"image_ms",  "workspace_ms", "sandbox_ms",
                               "script_ms", "changes_ms",   "total_ms"};

struct Figures {
  Samples bare;
  Samples podman;
  Samples job;       ///< with the default network mode, proxy
  Samples isolated;  ///< with none
  Samples proxy_costs;
  std::map<std::string, Samples> timings;
};

/// Round by round, so that what disturbs the host disturbs all of them.
Figures measure(const EmptyJob& job, const PrivateMounts& mounts, const BareRuntime& bare,
                const PodmanRun& podman) {
  Figures figures;
  for (int round = -warm_up_rounds; round < rounds; ++round) {
    const double bare_ms = mounts.timed(bare.command()).ms;
    const double podman_ms = mounts.timed(podman.command()).ms;
    const auto ran = job.run("proxy");
    const auto isolated = job.run("none");
    if (round < 0) continue;
    figures.bare.add(bare_ms);
    figures.podman.add(podman_ms);
    figures.job.add(ran.ms);
    figures.isolated.add(isolated.ms);
    figures.proxy_costs.add(ran.ms - isolated.ms);
    for (const char* phase : phases)
      if (ran.timings[phase].is_number()) figures.timings[phase].add(ran.timings[phase]);
  }
  return figures;
}

void print(const Figures& figures, const OciRuntime& runtime) {
  std::printf("A job that does nothing, warm image and snapshot; %s; %d rounds\n\n",
              runtime.program.filename().c_str(), rounds);
  const double bare = figures.bare.median();
  const double podman = figures.podman.median();
  bench::Table table({"", "median (min)", "of bare", "of podman run"});
  const auto row = [&](const std::string& name, const Samples& samples) {
    table.row({name, bench::median_and_min(samples), bench::times(samples.median() / bare),
               bench::times(samples.median() / podman)});
  };
  row("bare runtime, /bin/true", figures.bare);
  row("podman run --network=none", figures.podman);
  row("flow-runner exec --network none", figures.isolated);
  row("flow-runner exec (proxy), start to exit", figures.job);
  for (const char* phase : phases)
    if (const auto found = figures.timings.find(phase); found != figures.timings.end())
      row(std::string("  timings.") + phase, found->second);
  table.print();
}

/// What masker_bench says of ordinary log text in large writes, the slowest of them, in MB/s.
double masker_speed() {
  const auto text = bench::timed({.argv = {fixtures::program("masker_bench")}}).result.out;
  double slowest = 0;
  for (const char* name : {"\nsource code ", "\npackage managers ", "\nJSON events "}) {
    const auto line = text.find(name);
    constexpr std::string_view mark = "writes of  65536 bytes:";
    const auto at = line == std::string::npos ? line : text.find(mark, line);
    if (at == std::string::npos) throw std::runtime_error("masker_bench printed: " + text);
    const double speed = std::strtod(text.c_str() + at + mark.size(), nullptr);
    slowest = slowest == 0 ? speed : std::min(slowest, speed);
  }
  return slowest;
}

std::string milliseconds(double time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", time);
  return text;
}

std::string megabytes(double speed) { return std::to_string(static_cast<long>(speed)) + " MB/s"; }

int benchmark() {
  if (::geteuid() != 0)
    throw std::runtime_error("the bare runtime's bundle is made by hand: run this as root");
  const EmptyJob job;
  job.run("proxy");
  const OciRuntime runtime = job.runtime();
  const PrivateMounts mounts;
  const BareRuntime bare(runtime);
  const PodmanRun podman(runtime, mounts);
  const Figures figures = measure(job, mounts, bare, podman);
  print(figures, runtime);

  bench::Bounds bounds;
  const double whole = figures.job.median();
  bounds.at_most("whole job, of podman run", whole / figures.podman.median(), 0.5, 0.25,
                 bench::times);
  bounds.goal_at_most("whole job, of a bare runtime", whole / figures.bare.median(), 3,
                      bench::times);
  bounds.at_most("proxy against none, medians of each round's difference",
                 figures.proxy_costs.median(), 20, 5, milliseconds);
  bounds.at_least("masker, 50 secrets, log text (details: masker_bench)", masker_speed(), 200, 1000,
                  megabytes);
  return bounds.exit_code();
}

}  // namespace

int main() { return bench::run_benchmark(benchmark); }
