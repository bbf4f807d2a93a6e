// RawTerminal: the person's terminal in raw mode, and back as it was on every way out.
#pragma once

#include "config/result.hpp"
#include "executor/shell_channel.hpp"

namespace flow_runner::cli {

/// One at a time. The destructor restores the mode; so does a fatal signal (QUIT, ABRT, SEGV, BUS,
/// FPE, ILL) before it ends the process. INT, TERM and HUP are the loop's, which ends in the
/// destructor; only KILL leaves the terminal raw (`stty sane`, or `reset`).
class RawTerminal {
 public:
  static Result<RawTerminal> enter(int fd);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal();

 private:
  RawTerminal() = default;
  bool active_ = true;
};

/// Of a terminal; 24 × 80 when it does not know.
WindowSize window_size(int fd) noexcept;

}  // namespace flow_runner::cli
