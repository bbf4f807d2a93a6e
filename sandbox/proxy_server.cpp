#include "sandbox/proxy_server.hpp"

#include <cstdio>
#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sandbox/proxy_http.hpp"
#include "sandbox/proxy_stream.hpp"

namespace flow_runner {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

/// On top of max_connections, to be told that there are too many.
constexpr std::size_t max_refusals = 32;
/// Before the next try when descriptors or memory ran out.
constexpr std::chrono::milliseconds accept_pause{50};

}  // namespace

ProxyServer::ProxyServer(const ProxyContext& context, tcp::acceptor acceptor,
                         std::size_t max_connections)
    : context_(context),
      acceptor_(std::move(acceptor)),
      max_connections_(max_connections),
      wake_(acceptor_.get_executor()) {}

asio::awaitable<void> ProxyServer::run() {
  error_code error;
  while (!stopping_) {
    tcp::socket socket =
        co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (stopping_) break;
    if (!error) {
      serve(std::move(socket));
      continue;
    }
    wake_.expires_after(accept_pause);
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
  while (!connections_.empty()) {
    wake_.expires_at(asio::steady_timer::time_point::max());
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

void ProxyServer::stop() {
  stopping_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  wake_.cancel();
  for (auto& deadline : connections_) deadline.end();
}

void ProxyServer::serve(tcp::socket socket) {
  if (connections_.size() >= max_connections_ + max_refusals) return;  // closes it
  const auto executor = acceptor_.get_executor();
  const bool full = connections_.size() >= max_connections_;
  const auto place = connections_.emplace(connections_.end(), executor);
  auto task =
      full ? refuse(std::move(socket), *place) : serve_client(context_, std::move(socket), *place);
  asio::co_spawn(executor, std::move(task), [this, place](const std::exception_ptr& escaped) {
    connections_.erase(place);
    if (stopping_ && connections_.empty()) wake_.cancel();
    if (!escaped) return;
    try {
      std::rethrow_exception(escaped);
    } catch (const std::exception& exception) {
      std::fprintf(stderr, "flow-runner-proxy: a connection failed: %s\n", exception.what());
    }
  });
}

asio::awaitable<void> ProxyServer::refuse(tcp::socket socket, Deadline& deadline) {
  NetworkEvent event;
  event.kind = NetworkEvent::Kind::failed;
  event.status = 503;
  event.reason = "more than " + std::to_string(max_connections_) + " connections at once";
  context_.events.push(event);
  deadline.set(context_.settings.limits.header_time);
  Stream stream(std::move(socket), deadline);
  const auto answer = text_response(503, "flow-runner: " + event.reason + "\n", Persistence::close);
  if (co_await stream.write(answer)) co_await stream.linger();
}

}  // namespace flow_runner
