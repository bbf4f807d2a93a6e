// Samples, Table and Bounds: what the benchmark programs measure, print and judge.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/fixtures/command.hpp"

namespace flow_runner::bench {

/// Times of one thing in milliseconds.
class Samples {
 public:
  void add(double ms) { ms_.push_back(ms); }
  [[nodiscard]] double median() const;  ///< of no samples: not a number
  [[nodiscard]] double min() const;
  [[nodiscard]] std::size_t count() const noexcept { return ms_.size(); }

 private:
  std::vector<double> ms_;
};

struct Timed {
  double ms = 0;  ///< from start to exit
  fixtures::CommandResult result;
};

/// Throws std::runtime_error with the command's own words when it does not exit with 0.
Timed timed(const fixtures::CommandSpec& spec);

/// One run of `flow-runner exec --json …` that must succeed.
struct TimedJob {
  double ms = 0;           ///< of the process, from start to exit
  nlohmann::json timings;  ///< of the result
};

TimedJob timed_job(fixtures::CommandSpec spec);

std::string milliseconds(double ms);           ///< "12.3 ms"
std::string times(double ratio);               ///< "0.25x"
std::string median_and_min(const Samples& s);  ///< "12.3 ms (11.9)"

/// Lines of cells, all columns but the first one flush right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// The design's promises: a floor holds or does not, a goal has a distance.
class Bounds {
 public:
  /// `value` and the limits are in the same unit, which `show` writes out.
  using Show = std::string (*)(double);
  void at_most(std::string_view what, double value, double floor, double goal, Show show);
  void at_least(std::string_view what, double value, double floor, double goal, Show show);
  /// A goal without a floor.
  void goal_at_most(std::string_view what, double value, double goal, Show show);
  /// 1 when a floor did not hold.
  [[nodiscard]] int exit_code() const noexcept { return missed_ ? 1 : 0; }

 private:
  void floor(std::string_view what, bool holds, const std::string& sentence);

  bool missed_ = false;
};

/// main() of a benchmark program: what could not be measured is said, with exit code 2.
int run_benchmark(int (*benchmark)());

}  // namespace flow_runner::bench
