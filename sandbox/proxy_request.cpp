#include "sandbox/proxy_request.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include "config/network_policy.hpp"

namespace flow_runner {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

Error wrong(const char* message) { return {ErrorCode::invalid_input, message}; }

struct Authority {
  std::string host;
  std::uint16_t port = 0;
};

/// `host[:port]`; without a port, `default_port`, and where that is 0 an error.
Result<Authority> read_authority(std::string_view text, std::uint16_t default_port) {
  if (text.find('@') != std::string_view::npos) return wrong("the target has user information");
  Authority authority;
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return wrong("the bracket of the target is not closed");
    colon = close + 1 < text.size() ? close + 1 : std::string_view::npos;
    if (colon != std::string_view::npos && text[colon] != ':')
      return wrong("something follows the bracket of the target");
  } else if (colon != std::string_view::npos && text.find(':') != colon) {
    return wrong("an IPv6 address stands in brackets");
  }
  FR_TRY(authority.host, canonical_host(text.substr(0, colon)));
  if (colon == std::string_view::npos) {
    if (default_port == 0) return wrong("the target has no port");
    authority.port = default_port;
    return authority;
  }
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
      port == 0 || port > 65535)
    return wrong("the target's port is no number from 1 to 65535");
  authority.port = static_cast<std::uint16_t>(port);
  return authority;
}

Result<void> check_framing(const http::fields& fields) {
  const auto lengths = fields.count(http::field::content_length);
  const auto codings = fields.count(http::field::transfer_encoding);
  if (lengths + codings > 1) return wrong("the request says more than once how long its body is");
  if (codings == 1 && !beast::iequals(fields[http::field::transfer_encoding], "chunked"))
    return wrong("the only transfer coding here is chunked");
  return {};
}

Result<void> check_host(const http::header<true, http::fields>& request, const Authority& target,
                        std::uint16_t default_port) {
  const auto hosts = request.count(http::field::host);
  if (hosts > 1) return wrong("the request has two Host fields");
  if (hosts == 0) {
    if (request.version() >= 11) return wrong("the request has no Host field");
    return {};
  }
  const auto value = request[http::field::host];
  const auto host =
      read_authority({value.data(), value.size()}, default_port == 0 ? target.port : default_port);
  if (!host || host->host != target.host || host->port != target.port)
    return wrong("the Host field is not the target's host");
  return {};
}

}  // namespace

Result<ProxyTarget> read_proxy_target(const http::header<true, http::fields>& request) {
  FR_CHECK(check_framing(request));
  std::string_view text(request.target().data(), request.target().size());
  ProxyTarget target;
  target.tunnel = request.method() == http::verb::connect;
  constexpr std::string_view scheme = "http://";
  constexpr std::uint16_t http_port = 80;
  if (!target.tunnel) {
    if (text.size() < scheme.size() || !beast::iequals(text.substr(0, scheme.size()), scheme))
      return wrong("the proxy takes CONNECT, and http:// addresses in full");
    text.remove_prefix(scheme.size());
    if (text.find('#') != std::string_view::npos) return wrong("the target has a fragment");
    const auto end = std::min(text.find_first_of("/?"), text.size());
    target.path = text.substr(end);
    if (!target.path.starts_with('/')) target.path.insert(0, "/");
    text = text.substr(0, end);
  } else if (request.count(http::field::content_length) +
                 request.count(http::field::transfer_encoding) >
             0) {
    return wrong("CONNECT has no body");
  }
  FR_TRY(const Authority authority, read_authority(text, target.tunnel ? 0 : http_port));
  FR_CHECK(check_host(request, authority, target.tunnel ? 0 : http_port));
  target.host = authority.host;
  target.port = authority.port;
  return target;
}

void remove_hop_by_hop(http::fields& fields) {
  std::vector<std::string> named;
  for (const auto& name : http::token_list(fields[http::field::connection]))
    named.emplace_back(name);
  for (const auto& name : named) {
    // These frame the message; a peer that wants them gone wants to confuse the next reader.
    if (beast::iequals(name, "content-length") || beast::iequals(name, "transfer-encoding") ||
        beast::iequals(name, "host"))
      continue;
    fields.erase(name);
  }
  for (const auto field :
       {http::field::connection, http::field::keep_alive, http::field::proxy_connection,
        http::field::proxy_authorization, http::field::proxy_authenticate, http::field::te,
        http::field::trailer, http::field::upgrade, http::field::expect})
    fields.erase(field);
}

}  // namespace flow_runner
