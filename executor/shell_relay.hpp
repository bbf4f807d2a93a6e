// ShellRelay: carries bytes between a container's terminal and the person's, masking what comes
// out.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "executor/masker.hpp"
#include "executor/shell_channel.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// Masks what a person sees as it comes. A prompt must not wait for the next byte because its last
/// one could begin a secret: after a pause up to 3 held-back bytes are let go.
class InteractiveMasker {
 public:
  static constexpr std::size_t max_released = 3;

  explicit InteractiveMasker(std::shared_ptr<const MaskerPatterns> patterns);
  [[nodiscard]] std::string write(std::string_view bytes);
  /// Nothing came for a while.
  [[nodiscard]] std::string pause();
  [[nodiscard]] std::string finish();

 private:
  Masker masker_;
};

/// run() once; open() when the terminal is there. Owner: one coroutine, one thread.
class ShellRelay {
 public:
  /// `socket` is the executor's end of the shell's socket.
  ShellRelay(const boost::asio::any_io_executor& executor, Descriptor socket,
             std::shared_ptr<const MaskerPatterns> patterns);

  /// The master of the container's terminal: the person's terminal becomes it.
  void open(Descriptor master);
  /// Closes the terminal, which tells its processes by SIGHUP. Safe at any time.
  void hang_up();
  /// What ran in the terminal has ended: what it wrote is still brought out, for 5 seconds at most.
  void finish();
  /// Relays until hang_up(), finish(), or the end of either side; the client is told the end.
  boost::asio::awaitable<void> run();

 private:
  boost::asio::awaitable<void> pump_out();
  boost::asio::awaitable<void> pump_in();
  boost::asio::awaitable<bool> send(std::string frames);
  boost::asio::awaitable<bool> send_output(std::string bytes);
  void stop();

  boost::asio::posix::stream_descriptor socket_;
  boost::asio::posix::stream_descriptor master_;
  boost::asio::steady_timer opened_;
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer drain_;
  InteractiveMasker masker_;
};

}  // namespace flow_runner
