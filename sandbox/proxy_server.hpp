// ProxyServer: the HTTP proxy of one job: who may be reached is the policy's, all bounds the
// limits'.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "sandbox/proxy_wire.hpp"

namespace flow_runner {

/// Serves on `listener` (in whatever network it lies) and connects in the caller's own. HTTP/1.1:
/// CONNECT, where TLS must name the host that was asked for, and http:// in full. One thread.
class ProxyServer {
 public:
  ProxyServer(boost::asio::ip::tcp::acceptor listener, ProxyConfig config,
              std::function<void(const NetworkEvent&)> on_event);
  ~ProxyServer();

  /// Until stop(); then every connection is closed and has reported its end.
  boost::asio::awaitable<void> run();
  void stop();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace flow_runner
