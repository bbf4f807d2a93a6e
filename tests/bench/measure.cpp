#include "tests/bench/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace flow_runner::bench {
namespace {

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

std::string number(double ms) { return format(ms < 100 ? "%.1f" : "%.0f", ms); }

/// Columns that a UTF-8 text takes: every byte but continuations.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

void print_goal(std::string_view what, double value, double goal, double distance,
                Bounds::Show show) {
  std::printf("goal   %-52s %10s  of %-9s %s\n", std::string(what).c_str(), show(value).c_str(),
              show(goal).c_str(),
              distance <= 1 ? "reached" : (format("%.1f", distance) + " times away").c_str());
}

}  // namespace

double Samples::median() const {
  if (ms_.empty()) return std::numeric_limits<double>::quiet_NaN();
  auto sorted = ms_;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Samples::min() const {
  return ms_.empty() ? std::numeric_limits<double>::quiet_NaN()
                     : *std::min_element(ms_.begin(), ms_.end());
}

Timed timed(const fixtures::CommandSpec& spec) {
  const auto start = std::chrono::steady_clock::now();
  auto ran = fixtures::run_command(spec);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  if (!ran) throw std::runtime_error(ran.error().message);
  if (ran->exit_code != 0)
    throw std::runtime_error(spec.argv.front() + " exited with " + std::to_string(ran->exit_code) +
                             ": " + ran->err);
  return {took.count(), std::move(*ran)};
}

TimedJob timed_job(fixtures::CommandSpec spec) {
  const auto ran = timed(spec);
  const auto result = nlohmann::json::parse(ran.result.out, nullptr, false);
  if (!result.is_object() || !result.contains("timings"))
    throw std::runtime_error("exec printed no result: " + ran.result.err);
  return {ran.ms, result["timings"]};
}

std::string milliseconds(double ms) { return number(ms) + " ms"; }

std::string times(double ratio) { return format(ratio < 0.095 ? "%.3fx" : "%.2fx", ratio); }

std::string median_and_min(const Samples& s) {
  return s.count() == 0 ? "-" : milliseconds(s.median()) + " (" + number(s.min()) + ")";
}

void Table::print() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      line += i == 0 ? row[i] + space : "  " + space + row[i];
    }
    std::printf("%s\n", line.c_str());
  }
  std::printf("\n");
}

void Bounds::floor(std::string_view what, bool holds, const std::string& sentence) {
  missed_ = missed_ || !holds;
  std::printf("floor  %-52s %s  %s\n", std::string(what).c_str(), sentence.c_str(),
              holds ? "PASS" : "MISS");
}

void Bounds::at_most(std::string_view what, double value, double floor_value, double goal,
                     Show show) {
  char sentence[64];
  std::snprintf(sentence, sizeof sentence, "%10s  of %-9s", show(value).c_str(),
                show(floor_value).c_str());
  // Written so that a value that could not be measured misses.
  floor(what, value <= floor_value, sentence);
  goal_at_most(what, value, goal, show);
}

void Bounds::at_least(std::string_view what, double value, double floor_value, double goal,
                      Show show) {
  char sentence[64];
  std::snprintf(sentence, sizeof sentence, "%10s  of %-9s", show(value).c_str(),
                show(floor_value).c_str());
  floor(what, value >= floor_value, sentence);
  print_goal(what, value, goal, goal / value, show);
}

void Bounds::goal_at_most(std::string_view what, double value, double goal, Show show) {
  print_goal(what, value, goal, value / goal, show);
}

int run_benchmark(int (*benchmark)()) {
  // Each line at once: a run takes minutes.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    return benchmark();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "could not be measured: %s\n", error.what());
    return 2;
  }
}

}  // namespace flow_runner::bench
