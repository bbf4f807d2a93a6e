// BlockingCall: a function that blocks, run beside the loop and awaited on it.
#pragma once

#include <type_traits>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace flow_runner {

/// Runs `work` on a thread of its own, which has ended when this returns. The work must end by
/// itself: it has a deadline, or looks at a stop token that the caller's cancellation asks.
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work>> blocking_call(Work work) {
  boost::asio::thread_pool thread(1);
  auto outcome = co_await boost::asio::co_spawn(
      thread, [&work]() -> boost::asio::awaitable<std::invoke_result_t<Work>> { co_return work(); },
      boost::asio::use_awaitable);
  thread.join();
  co_return outcome;
}

}  // namespace flow_runner
