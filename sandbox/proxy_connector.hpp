// Connector: the only place where the proxy makes a connection, to an address that was checked.
#pragma once

#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "sandbox/network_proxy.hpp"
#include "sandbox/proxy_deadline.hpp"
#include "sandbox/proxy_events.hpp"
#include "sandbox/proxy_protocol.hpp"
#include "sandbox/proxy_resolver.hpp"
#include "sandbox/proxy_upstream.hpp"

namespace flow_runner {

/// What all connections of a proxy share; outlives them.
struct ProxyContext {
  const ProxySettings& settings;
  const UpstreamProxies& upstreams;
  Resolver& resolver;
  EventQueue& events;
};

/// Who asked for a connection, and what for; connect() fills in what the event of it will say.
enum class Route { tunnel, plain };

/// A connection, or the answer why not: `event` then is denied (403) or failed (502, 504).
struct Connected {
  std::optional<asio::ip::tcp::socket> socket;
  const UpstreamProxy* upstream = nullptr;  ///< what `socket` leads to, if it is not the target
};

/// Decides by name, resolves, decides by address, connects, within limits.connect_time. event.host
/// (canonical) and port say where to. Behind the host's own proxy only the name is decided on: who
/// resolves it is that proxy.
asio::awaitable<Connected> connect(const ProxyContext& context, Route route, Deadline& deadline,
                                   NetworkEvent& event);

/// The text of an answer to a request that was not served.
std::string explanation(const NetworkEvent& event);

}  // namespace flow_runner
