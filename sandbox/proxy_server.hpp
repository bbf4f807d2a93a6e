// ProxyServer: accepts the job's connections and serves each of them.
#pragma once

#include <list>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "sandbox/proxy_connector.hpp"
#include "sandbox/proxy_deadline.hpp"

namespace flow_runner {

class ProxyServer {
 public:
  /// `max_connections`: at once; what comes on top gets 503.
  ProxyServer(const ProxyContext& context, asio::ip::tcp::acceptor acceptor,
              std::size_t max_connections);

  /// Returns after stop(), once every connection has ended.
  asio::awaitable<void> run();
  /// Accepts no more and ends what is there.
  void stop();

 private:
  void serve(asio::ip::tcp::socket socket);
  asio::awaitable<void> refuse(asio::ip::tcp::socket socket, Deadline& deadline);

  const ProxyContext& context_;
  asio::ip::tcp::acceptor acceptor_;
  std::size_t max_connections_;
  std::list<Deadline> connections_;
  asio::steady_timer wake_;
  bool stopping_ = false;
};

/// Serves one client to its end: request after request, or a tunnel.
asio::awaitable<void> serve_client(const ProxyContext& context, asio::ip::tcp::socket socket,
                                   Deadline& deadline);

}  // namespace flow_runner
