// ProxyRequest: what a job's HTTP request asks its proxy for, or why it is refused. Pure.
#pragma once

#include <cstdint>
#include <string>

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>

#include "config/result.hpp"

namespace flow_runner {

struct ProxyTarget {
  bool tunnel = false;  ///< CONNECT
  std::string host;     ///< canonical
  std::uint16_t port = 0;
  std::string path;  ///< origin-form for the server; empty for a tunnel
};

/// Reads method, target and the fields that frame a message. invalid_input (answered by 400): other
/// forms than authority (CONNECT) and absolute with http://, user information, a fragment, a host
/// that canonical_host refuses, no or two Host fields, a Host unlike the target, both of
/// Content-Length and Transfer-Encoding, two of either, a coding other than chunked (RFC 9112, 3.2,
/// 6.1, 6.3).
Result<ProxyTarget> read_proxy_target(
    const boost::beast::http::header<true, boost::beast::http::fields>& request);

/// Removes what speaks of one connection only: Connection and the fields that it names, Keep-Alive,
/// Proxy-*, TE, Trailer, Upgrade, Expect (RFC 9110, 7.6.1).
void remove_hop_by_hop(boost::beast::http::fields& fields);

}  // namespace flow_runner
