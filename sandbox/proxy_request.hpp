// ProxyRequest: what a job's HTTP request asks its proxy for, or why it is refused. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

/// The start of a request as it was parsed; the views live as long as the parser.
struct RequestHead {
  bool connect = false;  ///< the method is CONNECT
  std::string_view target;
  int version = 11;  ///< 10 for HTTP/1.0
  std::vector<std::pair<std::string_view, std::string_view>> fields;
};

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
Result<ProxyTarget> read_proxy_target(const RequestHead& request);

/// ASCII letters count as equal whatever their case.
bool same_word(std::string_view left, std::string_view right);

}  // namespace flow_runner
