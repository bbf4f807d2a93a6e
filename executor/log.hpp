// JobLog: the job's log file; everything written passes the masker, and the size is bounded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "config/result.hpp"
#include "executor/masker.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// Two kinds of text: the script's output (a byte stream, masked as one) and our own lines
/// ("section" headings, warnings), which flush nothing of the stream's held-back bytes and are
/// masked on their own. At `max_bytes` of file the script's output is dropped (one marker line says
/// so and how to raise the limit); the last 64 KiB of what was dropped are kept and appended at
/// end_script() or close(). Our own lines always get through, up to 256 KiB beyond max_bytes. No
/// exception, no unbounded buffer. Used on one thread.
class JobLog {
 public:
  static constexpr std::size_t kept_tail_bytes = 64 * 1024;
  static constexpr std::size_t line_reserve_bytes = 256 * 1024;

  /// Appends to `file`, which is made (0640) when missing; what is there counts as written.
  static Result<JobLog> open(const std::filesystem::path& file,
                             std::shared_ptr<const MaskerPatterns> patterns,
                             std::uint64_t max_bytes);
  JobLog(JobLog&&) noexcept;
  JobLog& operator=(JobLog&&) noexcept;
  ~JobLog();  ///< close()

  void script_output(std::string_view bytes);
  /// One line of ours; a '\n' is added. If the script's last byte was not a newline, one comes
  /// first.
  void line(std::string_view text);
  /// The script has ended: flushes what the masker held back and writes the tail if output was cut,
  /// so that the lines that follow are the log's last ones. Output of a further script may come
  /// afterwards.
  void end_script();
  /// end_script(), and closes the file. Whatever comes later is ignored. Safe to call twice.
  void close();

  /// The file's size.
  [[nodiscard]] std::uint64_t bytes() const noexcept;
  /// Some output is not in the file where it belongs, or not at all.
  [[nodiscard]] bool truncated() const noexcept;
  /// The first write error (a full disk), if any; writing goes on being tried.
  [[nodiscard]] const Error* error() const noexcept;

 private:
  struct State;
  explicit JobLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace flow_runner
