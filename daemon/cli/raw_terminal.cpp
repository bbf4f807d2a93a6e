#include "daemon/cli/raw_terminal.hpp"

#include <array>
#include <csignal>
#include <sys/ioctl.h>
#include <termios.h>
#include <utility>

namespace flow_runner::cli {

namespace {

constexpr std::array fatal_signals = {SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

// For the signal handler, hence globals; written before the handlers are set.
int terminal_fd = -1;
termios saved_mode;

void restore() { ::tcsetattr(terminal_fd, TCSANOW, &saved_mode); }

void on_fatal(int number) {
  restore();
  // The disposition is the default one by now (SA_RESETHAND): the end is the signal's own.
  ::raise(number);
}

void set_handlers(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int number : fatal_signals) ::sigaction(number, &action, nullptr);
}

}  // namespace

Result<RawTerminal> RawTerminal::enter(int fd) {
  if (::tcgetattr(fd, &saved_mode) != 0) return errno_error("cannot read the terminal's mode");
  terminal_fd = fd;
  set_handlers(on_fatal);
  termios raw = saved_mode;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd, TCSANOW, &raw) != 0) {
    set_handlers(SIG_DFL);
    return errno_error("cannot set the terminal's mode");
  }
  return RawTerminal();
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : active_(std::exchange(other.active_, false)) {}

RawTerminal::~RawTerminal() {
  if (!active_) return;
  restore();
  set_handlers(SIG_DFL);
}

WindowSize window_size(int fd) noexcept {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {24, 80};
  return {size.ws_row, size.ws_col};
}

}  // namespace flow_runner::cli
