// Deadline: the one clock of a proxied connection; what it runs out on is cancelled.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace flow_runner {

/// Moving a deadline costs no system call while it moves away. One thread.
class Deadline {
 public:
  explicit Deadline(boost::asio::any_io_executor executor);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  /// From now on `delay` is left; one that ran out before counts as new again.
  void set(std::chrono::milliseconds delay);
  /// As if it had run out, for good: set() no longer helps.
  void end();
  [[nodiscard]] bool expired() const noexcept { return expired_; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }

  /// Calls back when the deadline runs out or is ended, for as long as it lives. Whoever waits
  /// checks expired() before each wait, for a callback is no help to a wait that begins after it.
  class Watch {
   public:
    Watch(Deadline& deadline, std::function<void()> callback);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    Deadline& deadline_;
    std::list<std::function<void()>>::iterator place_;
  };

 private:
  void arm();
  void expire();

  boost::asio::steady_timer timer_;
  std::chrono::steady_clock::time_point when_ = std::chrono::steady_clock::time_point::max();
  std::chrono::steady_clock::time_point armed_ = std::chrono::steady_clock::time_point::max();
  std::list<std::function<void()>> watches_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::uint64_t generation_ = 0;
  bool expired_ = false;
  bool ended_ = false;
};

}  // namespace flow_runner
