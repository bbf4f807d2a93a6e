#include "sandbox/proxy_relay.hpp"

#include <cerrno>
#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr int pipe_bytes = 256 << 10;
/// Pieces in a row before others get their turn.
constexpr int turn = 16;

class Relay {
 public:
  Relay(Stream& from, Stream& to, Pipe pipe) : from_(from), to_(to), pipe_(std::move(pipe)) {}

  asio::awaitable<Result<void>> run(std::chrono::milliseconds idle_time, std::uint64_t& count) {
    for (int pieces = 1;; ++pieces) {
      FR_CO_TRY(const std::size_t taken, co_await take());
      if (taken == 0) break;
      from_.deadline().set(idle_time);
      FR_CO_CHECK(co_await give(taken, idle_time, count));
      if (pieces % turn == 0) co_await asio::post(asio::use_awaitable);
    }
    error_code ignored;  // the other side may be gone by itself
    to_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    co_return Result<void>();
  }

 private:
  asio::awaitable<Result<void>> ready(Stream& side, tcp::socket::wait_type what) {
    if (side.deadline().expired())
      co_return Error{ErrorCode::timed_out, "nothing came in either direction for too long"};
    if (side.aborted()) co_return Error{ErrorCode::cancelled, "the connection was given up"};
    error_code error;
    co_await side.socket().async_wait(what, asio::redirect_error(asio::use_awaitable, error));
    if (side.deadline().expired())
      co_return Error{ErrorCode::timed_out, "nothing came in either direction for too long"};
    if (error) co_return Error{ErrorCode::cancelled, "the connection was given up"};
    co_return Result<void>();
  }

  asio::awaitable<Result<std::size_t>> take() {
    while (true) {
      const ssize_t n = ::splice(from_.socket().native_handle(), nullptr, pipe_.write.get(),
                                 nullptr, pipe_bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (n >= 0) co_return static_cast<std::size_t>(n);
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return Error{ErrorCode::unavailable, "the connection broke"};
      FR_CO_CHECK(co_await ready(from_, tcp::socket::wait_read));
    }
  }

  asio::awaitable<Result<void>> give(std::size_t left, std::chrono::milliseconds idle_time,
                                     std::uint64_t& count) {
    while (left > 0) {
      const ssize_t n = ::splice(pipe_.read.get(), nullptr, to_.socket().native_handle(), nullptr,
                                 left, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (n > 0) {
        left -= static_cast<std::size_t>(n);
        count += static_cast<std::uint64_t>(n);
        to_.deadline().set(idle_time);
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      if (n == 0 || errno != EAGAIN)
        co_return Error{ErrorCode::unavailable, "the connection broke"};
      FR_CO_CHECK(co_await ready(to_, tcp::socket::wait_write));
    }
    co_return Result<void>();
  }

  Stream& from_;
  Stream& to_;
  Pipe pipe_;
};

}  // namespace

asio::awaitable<Result<void>> relay(Stream& from, Stream& to, std::chrono::milliseconds idle_time,
                                    std::uint64_t& count) {
  FR_CO_TRY(Pipe pipe, make_pipe());
  // A user's pipes have a budget; behind it they are small, and slower.
  ::fcntl(pipe.write.get(), F_SETPIPE_SZ, pipe_bytes);
  for (Stream* side : {&from, &to}) {
    error_code error;
    side->socket().native_non_blocking(true, error);
    if (error) co_return Error{ErrorCode::internal, "cannot make a socket non-blocking"};
  }
  Relay running(from, to, std::move(pipe));
  co_return co_await running.run(idle_time, count);
}

}  // namespace flow_runner
