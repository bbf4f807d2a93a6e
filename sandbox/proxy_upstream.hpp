// UpstreamProxies: the host's own proxies and what goes past them, by its environment. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

struct UpstreamProxy {
  std::string host;
  std::uint16_t port = 0;
  std::string authorization;  ///< of Proxy-Authorization; empty: none. A secret.
};

class UpstreamProxies {
 public:
  /// Of NAME=value: http_proxy, https_proxy, no_proxy; the lower-case form wins. invalid_input
  /// (without the value, which may hold a password): a proxy other than
  /// `http://[user:pass@]host:port`.
  static Result<UpstreamProxies> from_environment(const std::vector<std::string>& environment);

  /// The proxy through which a tunnel, or a plain request, to this host (canonical) goes; nullptr:
  /// straight. no_proxy takes `*`, a name (which covers what is below it), `.domain`, addresses,
  /// blocks, each with an optional `:port`; localhost and loopback addresses always go straight.
  [[nodiscard]] const UpstreamProxy* for_tunnel(std::string_view host, std::uint16_t port) const;
  [[nodiscard]] const UpstreamProxy* for_plain(std::string_view host, std::uint16_t port) const;

 private:
  [[nodiscard]] bool goes_straight(std::string_view host, std::uint16_t port) const;

  std::optional<UpstreamProxy> tunnel_;
  std::optional<UpstreamProxy> plain_;
  std::vector<std::string> exceptions_;
};

}  // namespace flow_runner
