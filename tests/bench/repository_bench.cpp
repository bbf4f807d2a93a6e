// How a job's cost depends on the repository's size: 50,000 and 200,000 files, against `git clone`
// and `git status` in the same run.
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "tests/bench/measure.hpp"
#include "tests/fixtures/git_repository.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/state_folder.hpp"
#include "tests/fixtures/temporary_directory.hpp"

namespace {

using namespace flow_runner;
using bench::Samples;
using fixtures::CommandSpec;

constexpr std::array sizes = {50'000, 200'000};
constexpr int files_per_folder = 50;
constexpr int touched_files = 10;
constexpr int rounds = 7;
constexpr std::chrono::minutes deadline{20};

std::string file_name(int number) {
  const int folder = number / files_per_folder;
  return "module_" + std::to_string(folder / 20) + "/part_" + std::to_string(folder % 20) +
         "/file_" + std::to_string(number) + ".c";
}

/// A commit in `git fast-import`'s language: `count` files, `step` apart.
std::string commit_stream(int count, int step, int generation) {
  const std::string message = "Generation " + std::to_string(generation);
  std::string stream = "commit refs/heads/main\ncommitter Test Person <person@example.com> " +
                       std::to_string(1704067200 + generation) + " +0000\ndata " +
                       std::to_string(message.size()) + "\n" + message + "\n";
  if (generation > 0) stream += "from refs/heads/main^0\n";
  for (int i = 0; i < count; ++i) {
    std::string content;
    for (int line = 0; line < 12; ++line)
      content += "int value_" + std::to_string(line) + " = " + std::to_string(i * step) + " + " +
                 std::to_string(generation) + ";\n";
    stream += "M 100644 inline " + file_name(i * step) + "\ndata " +
              std::to_string(content.size()) + "\n" + content + "\n";
  }
  return stream + "done\n";
}

/// A bare repository of `files` files, jobs on it, and the times of both.
class Subject {
 public:
  Subject(const fixtures::StateFolder& state, const fixtures::TemporaryDirectory& folder, int files)
      : state_(state), folder_(folder / std::to_string(files)), files_(files) {
    std::filesystem::create_directories(folder_);
    git({"init", "--quiet", "--bare", "--initial-branch=main", origin()});
    commit(files, 1);
    fixtures::write_file(folder_ / "nothing.yml", flow("true"));
    std::string touch = "for f in";
    for (int i = 0; i < touched_files; ++i) touch += " " + file_name(i * (files / touched_files));
    fixtures::write_file(folder_ / "touch.yml", flow(touch + "; do echo more >> $f; done"));
  }

  void measure() {
    clone.add(git({"clone", "--quiet", "--no-hardlinks", origin(), folder_ / "clone"}));
    for (int round = 0; round < rounds; ++round)
      status.add(git({"-C", folder_ / "clone", "status", "--short"}));
    first.add(job("nothing.yml")["workspace_ms"]);
    for (int round = 0; round < rounds; ++round) {
      const auto timings = job("nothing.yml");
      warm.add(timings["workspace_ms"]);
      total.add(timings["total_ms"]);
    }
    for (int round = 0; round < rounds; ++round) changes.add(job("touch.yml")["changes_ms"]);
    for (int round = 0; round < rounds; ++round) {
      commit(touched_files, files_ / touched_files);
      next.add(job("nothing.yml")["workspace_ms"]);
    }
  }

  Samples clone, status, first, warm, total, changes, next;

 private:
  [[nodiscard]] std::filesystem::path origin() const { return folder_ / "origin.git"; }

  static std::string flow(const std::string& command) {
    return nlohmann::json{{"image", "localhost/busybox"},
                          {"commands", {command}},
                          {"variables", nlohmann::json::array()}}
        .dump();
  }

  double git(std::vector<std::string> arguments, std::string input = {}) const {
    arguments.insert(arguments.begin(), "git");
    return bench::timed({.argv = std::move(arguments),
                         .environment = fixtures::git_environment(),
                         .working_directory = folder_,
                         .input = std::move(input),
                         .deadline = deadline})
        .ms;
  }

  void commit(int count, int step) {
    git({"--git-dir", origin(), "fast-import", "--quiet", "--done"},
        commit_stream(count, step, generation_));
    ++generation_;
  }

  /// The timings of one job. Each pushes to a branch of its own: no lease of another's is met.
  nlohmann::json job(const char* flow_file) {
    const std::string branch = "workloads/bench-" + std::to_string(++jobs_);
    return bench::timed_job({.argv = {fixtures::program("flow-runner"), "exec", "--json", "--repo",
                                      origin(), "--push", "--workload-ref", branch, "--state-dir",
                                      state_.path(), folder_ / flow_file},
                             .working_directory = folder_,
                             .deadline = deadline})
        .timings;
  }

  const fixtures::StateFolder& state_;
  std::filesystem::path folder_;
  int files_;
  int generation_ = 0;
  int jobs_ = 0;
};

void print(const Subject& small, const Subject& large) {
  std::printf("One repository at two sizes; medians (min) of %d, of 1 where it is made\n\n",
              rounds);
  bench::Table table({"", "50,000 files", "of clone", "200,000 files", "of clone", "growth"});
  const auto row = [&](const char* name, Samples Subject::*samples) {
    const Samples& few = small.*samples;
    const Samples& many = large.*samples;
    table.row({name, bench::median_and_min(few), bench::times(few.median() / small.clone.median()),
               bench::median_and_min(many), bench::times(many.median() / large.clone.median()),
               bench::times(many.median() / few.median())});
  };
  row("git clone --no-hardlinks", &Subject::clone);
  row("git status", &Subject::status);
  row("first snapshot (fetch included)", &Subject::first);
  row("workspace on a warm snapshot", &Subject::warm);
  row("  whole job on it, timings.total_ms", &Subject::total);
  row("new commit, 10 files changed (fetch included)", &Subject::next);
  row("changes of a job that touched 10 files", &Subject::changes);
  table.print();
}

int benchmark() {
  // Both are removed at the very end: after mass deletes a file system is slow for a while.
  const fixtures::TemporaryDirectory folder;
  const fixtures::StateFolder state;
  if (const auto loaded = state.load_image("busybox"); !loaded)
    throw std::runtime_error(loaded.error().message);
  Subject small(state, folder, sizes[0]);
  small.measure();
  Subject large(state, folder, sizes[1]);
  large.measure();
  print(small, large);

  bench::Bounds bounds;
  bounds.at_most("workspace for 50,000 files, warm", small.warm.median(), 200, 20,
                 bench::milliseconds);
  bounds.at_most("changes, 10 of 50,000 files", small.changes.median(), 100, 10,
                 bench::milliseconds);
  bounds.at_most("new commit of 50,000 files", small.next.median(), 1000, 200, bench::milliseconds);
  return bounds.exit_code();
}

}  // namespace

int main() { return bench::run_benchmark(benchmark); }
