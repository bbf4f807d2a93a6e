// ShellClient: the person's terminal as the terminal of a shell in a job's sandbox.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/result.hpp"
#include "daemon/cli/raw_terminal.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner::cli {

/// invalid_input unless standard input and output are terminals.
Result<void> check_shell_terminal();
/// TERM, or `xterm` when it has none that can be passed on.
std::string terminal_name();

class ShellClient {
 public:
  /// `on_begin` and `on_end`: when the terminal is the shell's, and no longer.
  ShellClient(const boost::asio::any_io_executor& executor, Descriptor socket,
              std::function<void()> on_begin, std::function<void()> on_end);

  /// Until the executor closes the socket. The terminal is in raw mode from the shell's begin to
  /// its end.
  boost::asio::awaitable<void> run();

 private:
  boost::asio::awaitable<void> read_frames();
  boost::asio::awaitable<void> pump_input();
  boost::asio::awaitable<bool> send(std::string frames);
  void begin();
  void end();
  void watch_window();

  boost::asio::posix::stream_descriptor socket_;
  boost::asio::posix::stream_descriptor input_;
  boost::asio::steady_timer begun_;
  boost::asio::signal_set window_;
  std::function<void()> on_begin_, on_end_;
  std::optional<RawTerminal> raw_;
  bool active_ = false;  // the terminal is the shell's
  bool resized_ = true;  // the size is told first
};

}  // namespace flow_runner::cli
