// Terminal: how a running job looks in a person's terminal; turns events into bytes and writes
// nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/cli/terminal_text.hpp"

namespace flow_runner::cli {

/// What the stream behind it can do.
struct TerminalStyle {
  bool live = false;     ///< a terminal: one status line that is drawn anew
  bool colours = false;  ///< ANSI colours
  std::size_t width = 80;
};

/// The style of a descriptor: live if a terminal that is not dumb, colours unless NO_COLOR is set
/// to something (no-color.org).
TerminalStyle terminal_style(int fd);

enum class PhaseEnd { good, bad };

/// How far a phase is; total 0: not known.
struct Progress {
  std::string text;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

/// Each call returns what is to be written next. On a live stream the last line is a status line
/// (phase, time, progress bar) that everything else is written above; elsewhere a phase is one line
/// at its end, and progress a line at most every ten seconds. Job output is shown through
/// TerminalText on a live stream, and unchanged elsewhere.
class Terminal {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;
  Terminal(TerminalStyle style, Clock clock);

  /// A phase begins; the one before has ended well.
  std::string begin_phase(std::string_view name);
  /// The running phase, if any, has ended.
  std::string end_phase(PhaseEnd end);
  std::string progress(const Progress& progress);
  /// Output of the job.
  std::string output(std::string_view bytes);
  /// One line of ours; without control characters.
  std::string line(std::string_view text);
  /// Draws the status line anew when its time has come (once a second).
  std::string tick();

  [[nodiscard]] const TerminalStyle& style() const noexcept { return style_; }

 private:
  [[nodiscard]] std::string status_line() const;
  std::string instead_of_status(std::string text);
  std::string above_status(std::string text);
  std::string draw_status();
  std::string to_line_start();
  [[nodiscard]] std::string coloured(std::string_view code, std::string_view text) const;

  TerminalStyle style_;
  Clock clock_;
  TerminalText filter_;
  std::string phase_;
  std::chrono::steady_clock::time_point phase_start_, last_draw_, last_report_;
  std::optional<Progress> progress_;
  bool status_shown_ = false;
  bool at_line_start_ = true;
  bool output_shown_ = false;  ///< since our last line
};

/// `[#####.....]`, `width` characters between the brackets.
std::string progress_bar(std::uint64_t done, std::uint64_t total, std::size_t width);

}  // namespace flow_runner::cli
