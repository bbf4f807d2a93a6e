#include "sandbox/proxy_tunnel.hpp"

#include <cerrno>
#include <fcntl.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::steady_clock;

// What a pipe may hold for a user without rights (/proc/sys/fs/pipe-max-size).
constexpr int pipe_bytes = 1 << 20;

struct Tunnel {
  tcp::socket& client;
  tcp::socket& server;
  asio::steady_timer watchdog;
  steady_clock::time_point last_byte = steady_clock::now();

  void close() {
    boost::system::error_code ignored;
    client.close(ignored);
    server.close(ignored);
    watchdog.cancel();
  }
};

asio::awaitable<bool> ready(tcp::socket& socket, tcp::socket::wait_type what) {
  boost::system::error_code error;
  co_await socket.async_wait(what, asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

/// Moves what there is; -1 with EAGAIN when there is nothing.
ssize_t move(int from, int to, std::size_t count) {
  ssize_t moved = 0;
  do {
    moved = ::splice(from, nullptr, to, nullptr, count, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  } while (moved < 0 && errno == EINTR);
  return moved;
}

/// True at the end of the stream, false after an error.
asio::awaitable<bool> relay(Tunnel& tunnel, tcp::socket& from, tcp::socket& to,
                            std::uint64_t& count) {
  auto pipe = make_pipe();
  if (!pipe) co_return false;
  // A smaller pipe works too.
  (void)::fcntl(pipe->write.get(), F_SETPIPE_SZ, pipe_bytes);
  while (true) {
    const ssize_t taken = move(from.native_handle(), pipe->write.get(), pipe_bytes);
    if (taken == 0) co_return true;
    if (taken < 0) {
      if (errno != EAGAIN || !co_await ready(from, tcp::socket::wait_read)) co_return false;
      continue;
    }
    tunnel.last_byte = steady_clock::now();
    for (auto left = static_cast<std::size_t>(taken); left > 0;) {
      const ssize_t given = move(pipe->read.get(), to.native_handle(), left);
      if (given < 0) {
        if (errno != EAGAIN || !co_await ready(to, tcp::socket::wait_write)) co_return false;
        continue;
      }
      left -= static_cast<std::size_t>(given);
      count += static_cast<std::uint64_t>(given);
      tunnel.last_byte = steady_clock::now();
    }
  }
}

asio::awaitable<void> run_direction(Tunnel& tunnel, tcp::socket& from, tcp::socket& to,
                                    std::uint64_t& count, int& open) {
  const bool ended = co_await relay(tunnel, from, to, count);
  boost::system::error_code ignored;
  if (ended && to.is_open()) to.shutdown(tcp::socket::shutdown_send, ignored);
  if (!ended || --open == 0) tunnel.close();
}

asio::awaitable<void> watch(Tunnel& tunnel, std::chrono::seconds idle) {
  while (tunnel.client.is_open()) {
    boost::system::error_code error;
    tunnel.watchdog.expires_at(tunnel.last_byte + idle);
    co_await tunnel.watchdog.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    if (steady_clock::now() - tunnel.last_byte >= idle) tunnel.close();
  }
}

}  // namespace

asio::awaitable<void> run_tunnel(tcp::socket& client, tcp::socket& server,
                                 std::chrono::seconds idle, TunnelCounts& counts) {
  using namespace asio::experimental::awaitable_operators;
  boost::system::error_code ignored;
  client.native_non_blocking(true, ignored);
  server.native_non_blocking(true, ignored);
  Tunnel tunnel{client, server, asio::steady_timer(co_await asio::this_coro::executor)};
  int open = 2;
  co_await (run_direction(tunnel, client, server, counts.up, open) &&
            run_direction(tunnel, server, client, counts.down, open) && watch(tunnel, idle));
}

}  // namespace flow_runner
