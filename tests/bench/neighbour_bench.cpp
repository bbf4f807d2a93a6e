// What a small job loses beside a job that takes all it can get: the script phase, as a ratio.
#include <array>
#include <cstdio>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include "sandbox/descriptor.hpp"
#include "tests/bench/measure.hpp"
#include "tests/fixtures/command.hpp"
#include "tests/fixtures/git_repository.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/state_folder.hpp"
#include "tests/fixtures/temporary_directory.hpp"

namespace {

using namespace flow_runner;
using bench::Samples;

constexpr int rounds = 5;

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

struct Abuse {
  const char* name;
  const char* command;  ///< says "begun" first, and does not end by itself
};

constexpr std::array abuses = {
    Abuse{"floods its output", "echo begun; yes 'a line of no interest'"},
    Abuse{"spins on both cores", "echo begun; (while :; do :; done) & while :; do :; done"},
    Abuse{"writes to disk",
          "echo begun; while :; do head -c 67108864 /dev/zero > /var/fill; rm /var/fill; done"},
    Abuse{"starts processes", "echo begun; while :; do (:) & (:) & wait; done"},
};

class Neighbours {
 public:
  Neighbours() {
    if (const auto loaded = state_.load_image("busybox"); !loaded)
      throw std::runtime_error(loaded.error().message);
    fixtures::GitRepository project(folder_ / "project");
    project.write("README.md", "A project\n");
    project.commit("A project");
    origin_ = project.path();
    write_flow("small", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
    (void)small_job();
  }

  double small_job() const {
    const auto job = bench::timed_job({.argv = command("small")});
    return job.timings.at("script_ms").get<double>();
  }

  /// Runs until it is destroyed; has begun its abuse when this returns.
  fixtures::ChildProcess abuser(const Abuse& abuse) const {
    write_flow("abuse", abuse.command);
    auto output = must(make_pipe());
    const Descriptor nowhere = must(open_file("/dev/null", O_WRONLY));
    // The view follows the log; a flood would otherwise end with its reader.
    std::vector<std::string> argv = {
        "sh", "-c", "\"$@\" 2>&1 >/dev/null | { grep -m1 '^begun'; cat >/dev/null; }", "sh"};
    const auto job = command("abuse");
    argv.insert(argv.end(), job.begin(), job.end());
    auto child = must(fixtures::ChildProcess::start({.argv = argv,
                                                     .stdout_fd = output.write.get(),
                                                     .stderr_fd = nowhere.get(),
                                                     .pid_namespace = true}));
    output.write.close();
    char byte = 0;
    if (::read(output.read.get(), &byte, 1) != 1)
      throw std::runtime_error(std::string("the job that ") + abuse.name + " did not begin");
    return child;
  }

 private:
  void write_flow(const std::string& name, const std::string& script) const {
    const nlohmann::json flow = {{"image", "localhost/busybox"}, {"commands", {script}}};
    fixtures::write_file(folder_ / (name + ".yml"), flow.dump());
  }
  std::vector<std::string> command(const std::string& name) const {
    return {fixtures::program("flow-runner"),
            "exec",
            "--json",
            "--repo",
            origin_,
            "--state-dir",
            state_.path(),
            "--timeout",
            "5m",
            folder_ / (name + ".yml")};
  }

  fixtures::StateFolder state_;
  fixtures::TemporaryDirectory folder_;
  std::filesystem::path origin_;
};

int benchmark() {
  const Neighbours neighbours;
  Samples alone;
  for (int i = 0; i < rounds; ++i) alone.add(neighbours.small_job());
  bench::Table table({"the other job", "script, median (min)", "of alone"});
  table.row({"none", bench::median_and_min(alone), "1.00x"});
  bench::Bounds bounds;
  for (const auto& abuse : abuses) {
    Samples beside;
    {
      const auto abuser = neighbours.abuser(abuse);
      for (int i = 0; i < rounds; ++i) beside.add(neighbours.small_job());
    }
    const double ratio = beside.median() / alone.median();
    table.row({abuse.name, bench::median_and_min(beside), bench::times(ratio)});
    bounds.goal_at_most(std::string("a small job's script beside one that ") + abuse.name, ratio,
                        1.2, bench::times);
  }
  std::printf("A small job beside one that abuses its host; %d rounds\n\n", rounds);
  table.print();
  return bounds.exit_code();
}

}  // namespace

int main() { return bench::run_benchmark(benchmark); }
