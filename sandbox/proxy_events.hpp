// EventQueue: events on their way to a pipe that may be slow; what does not fit is counted.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "sandbox/network_proxy.hpp"

namespace flow_runner {

class EventQueue {
 public:
  /// Takes the descriptor over and makes it non-blocking.
  EventQueue(const asio::any_io_executor& executor, int fd);

  /// At most max_queued wait; of more only the number is told, by an event of its own.
  void push(const NetworkEvent& event);
  /// Writes until finish() was called and all is written, or the reader is gone.
  asio::awaitable<void> run();
  void finish();

 private:
  static constexpr std::size_t max_queued = 4096;

  asio::posix::stream_descriptor out_;
  asio::steady_timer wake_;
  std::deque<std::string> lines_;
  std::uint64_t dropped_ = 0;
  bool finishing_ = false;
  bool broken_ = false;
};

}  // namespace flow_runner
