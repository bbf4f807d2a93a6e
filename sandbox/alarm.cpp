#include "sandbox/alarm.hpp"

#include <boost/asio/steady_timer.hpp>

namespace flow_runner {

struct Alarm::State {
  explicit State(boost::asio::any_io_executor executor) : timer(std::move(executor)) {}
  boost::asio::steady_timer timer;
  std::uint64_t generation = 0;
};

Alarm::Alarm(boost::asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

Alarm::~Alarm() { cancel(); }

void Alarm::set(std::chrono::milliseconds delay, std::function<void()> callback) {
  cancel();
  state_->timer.expires_after(delay);
  state_->timer.async_wait(
      [weak = std::weak_ptr(state_), generation = state_->generation,
       callback = std::move(callback)](const boost::system::error_code& error) {
        const auto state = weak.lock();
        if (!error && state && state->generation == generation) callback();
      });
}

void Alarm::cancel() noexcept {
  ++state_->generation;
  state_->timer.cancel();
}

}  // namespace flow_runner
