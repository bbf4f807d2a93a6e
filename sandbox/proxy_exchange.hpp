// Exchange: one plain HTTP request and its answer, passed on as they come.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "sandbox/proxy_connector.hpp"
#include "sandbox/proxy_http.hpp"
#include "sandbox/proxy_stream.hpp"

namespace flow_runner {

/// The connection that a client's next request to the same target takes again.
struct KeptServer {
  std::unique_ptr<Stream> stream;  ///< nullptr: none
  std::string host;
  std::uint16_t port = 0;
  std::string address;  ///< as in the event
  const UpstreamProxy* upstream = nullptr;
};

/// Serves one request on http://. True: the client may go on with another one.
asio::awaitable<bool> serve_exchange(const ProxyContext& context, Stream& client,
                                     const HttpRequest& request, KeptServer& kept);

}  // namespace flow_runner
