#include "sandbox/proxy_events.hpp"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "sandbox/proxy_protocol.hpp"

namespace flow_runner {

using boost::system::error_code;

EventQueue::EventQueue(const asio::any_io_executor& executor, int fd)
    : out_(executor, fd), wake_(executor, asio::steady_timer::time_point::max()) {}

void EventQueue::push(const NetworkEvent& event) {
  if (broken_) return;
  if (lines_.size() == max_queued) {
    ++dropped_;
    return;
  }
  lines_.push_back(to_line(event) + "\n");
  wake_.cancel();
}

void EventQueue::finish() {
  finishing_ = true;
  wake_.cancel();
}

asio::awaitable<void> EventQueue::run() {
  // One write for many lines: a busy job ends thousands of requests a second.
  constexpr std::size_t batch_bytes = 64U << 10;
  std::string batch;
  while (true) {
    batch.clear();
    while (!lines_.empty() && batch.size() < batch_bytes) {
      batch += lines_.front();
      lines_.pop_front();
    }
    if (batch.empty() && dropped_ > 0) {
      NetworkEvent event;
      event.kind = NetworkEvent::Kind::failed;
      event.reason = std::to_string(std::exchange(dropped_, 0)) +
                     " network events were not reported, for they came faster than they were read";
      batch = to_line(event) + "\n";
    }
    error_code error;
    if (batch.empty()) {
      if (finishing_) co_return;
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      wake_.expires_at(asio::steady_timer::time_point::max());
      continue;
    }
    co_await asio::async_write(out_, asio::buffer(batch),
                               asio::redirect_error(asio::use_awaitable, error));
    if (!error) continue;
    broken_ = true;
    lines_.clear();
    co_return;
  }
}

}  // namespace flow_runner
