// ProxyTunnel: bytes between two sockets, moved by the kernel, until both directions are over.
#pragma once

#include <chrono>
#include <cstdint>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace flow_runner {

struct TunnelCounts {
  std::uint64_t up = 0;  ///< from `client` to `server`
  std::uint64_t down = 0;
};

/// Relays both ways by splice(2). The end of one direction is passed on as a half-close; an error,
/// or no byte in either direction for `idle`, ends both. Both sockets are closed afterwards.
/// `counts` is kept up to date.
boost::asio::awaitable<void> run_tunnel(boost::asio::ip::tcp::socket& client,
                                        boost::asio::ip::tcp::socket& server,
                                        std::chrono::seconds idle, TunnelCounts& counts);

}  // namespace flow_runner
