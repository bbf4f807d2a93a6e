// run_awaitable: a coroutine of the code under test, run to its end on a loop of its own.
#pragma once

#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace flow_runner {

/// Throws what the coroutine throws. `loop` may run other things of the test's meanwhile.
template <class T>
T run_awaitable(boost::asio::io_context& loop, boost::asio::awaitable<T> awaitable) {
  std::optional<T> result;
  std::exception_ptr failure;
  boost::asio::co_spawn(loop, std::move(awaitable), [&](std::exception_ptr error, T value) {
    failure = error;
    if (!error) result.emplace(std::move(value));
    loop.stop();
  });
  loop.restart();
  loop.run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

template <class T>
T run_awaitable(boost::asio::awaitable<T> awaitable) {
  boost::asio::io_context loop;
  return run_awaitable(loop, std::move(awaitable));
}

}  // namespace flow_runner
