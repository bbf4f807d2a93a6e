// JobLog: the job's log file; everything written passes the masker, and the size is bounded.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "config/result.hpp"
#include "executor/masker.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// Two kinds of text: the script's output (a byte stream, masked as one) and our own lines ("section"
/// headings, warnings), which first flush nothing of the stream's held-back bytes but are masked on their
/// own. Above `max_bytes` the script's output is dropped and counted (one marker line says so and how to
/// raise the limit); the last 64 KiB of it are kept and appended at close(), our own lines always get
/// through (a reserve of 256 KiB). No exception, no unbounded buffer. Used on one thread.
class JobLog {
 public:
  static Result<JobLog> open(const std::filesystem::path& file,
                             std::shared_ptr<const MaskerPatterns> patterns, std::uint64_t max_bytes);
  JobLog(JobLog&&) noexcept;
  JobLog& operator=(JobLog&&) noexcept;
  ~JobLog();

  void script_output(std::string_view bytes);
  /// One line of ours; a '\n' is added. If the script's last byte was not a newline, one comes first.
  void line(std::string_view text);
  /// Flushes what the masker held back, writes the tail if output was cut, closes the file.
  void close();

  [[nodiscard]] std::uint64_t bytes() const noexcept;
  [[nodiscard]] bool truncated() const noexcept;
  /// The first write error (a full disk), if any; writing goes on being tried.
  [[nodiscard]] const Error* error() const noexcept;

 private:
  struct State;
  explicit JobLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace flow_runner
