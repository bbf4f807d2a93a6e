#include "sandbox/proxy_deadline.hpp"

#include <utility>

namespace flow_runner {

Deadline::Deadline(boost::asio::any_io_executor executor) : timer_(std::move(executor)) {}

Deadline::~Deadline() { *alive_ = false; }

void Deadline::set(std::chrono::milliseconds delay) {
  if (ended_) return;
  expired_ = false;
  when_ = std::chrono::steady_clock::now() + delay;
  if (when_ < armed_) arm();
}

void Deadline::end() {
  ended_ = true;
  expire();
}

void Deadline::arm() {
  armed_ = when_;
  timer_.expires_at(armed_);
  timer_.async_wait(
      [this, alive = alive_, generation = ++generation_](const boost::system::error_code& error) {
        if (error || !*alive || generation != generation_) return;
        armed_ = std::chrono::steady_clock::time_point::max();
        if (expired_) return;
        if (when_ > std::chrono::steady_clock::now())
          arm();
        else
          expire();
      });
}

void Deadline::expire() {
  expired_ = true;
  for (const auto& callback : watches_) callback();
}

Deadline::Watch::Watch(Deadline& deadline, std::function<void()> callback)
    : deadline_(deadline),
      place_(deadline.watches_.insert(deadline.watches_.end(), std::move(callback))) {}

Deadline::Watch::~Watch() { deadline_.watches_.erase(place_); }

}  // namespace flow_runner
