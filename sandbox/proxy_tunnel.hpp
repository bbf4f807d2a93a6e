// Tunnel: what follows an allowed CONNECT.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "sandbox/proxy_connector.hpp"
#include "sandbox/proxy_http.hpp"
#include "sandbox/proxy_stream.hpp"

namespace flow_runner {

/// Serves one CONNECT. True: it was refused with an answer, and the client may go on with another
/// request. False: the connection is used up. A TLS hello among the client's first bytes must name
/// the host that was asked for.
asio::awaitable<bool> serve_tunnel(const ProxyContext& context, Stream& client,
                                   const HttpRequest& request);

}  // namespace flow_runner
