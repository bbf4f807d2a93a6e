// Alarm: a timer whose callback never runs after the alarm was cancelled or destroyed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

namespace flow_runner {

/// A plain timer may have its handler queued already when its owner goes; this one checks. One
/// thread.
class Alarm {
 public:
  explicit Alarm(boost::asio::any_io_executor executor);
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  /// Calls back once after `delay`; replaces what was set before.
  void set(std::chrono::milliseconds delay, std::function<void()> callback);
  void cancel() noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace flow_runner
