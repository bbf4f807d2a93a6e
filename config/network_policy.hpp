// NetworkPolicy: which hosts and ports a job may reach through the proxy. Pure: nothing is resolved
// here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/ip/address.hpp>

#include "config/network_address.hpp"
#include "config/result.hpp"

namespace flow_runner {

/// One entry of `network.allow` or `network.deny`, as `host:port`, `*.domain:port`, `1.2.3.4:port`,
/// `[2001:db8::1]:port`, `10.0.0.0/8:port`; the port `*` means any.
struct NetworkRule {
  /// Canonical (see canonical_host): lower case, no trailing dot. With `wildcard` the domain below
  /// which names match; the domain itself does not. With `prefix_bits` an address block.
  std::string host;
  bool wildcard = false;
  std::optional<unsigned> prefix_bits;
  std::uint16_t port = 0;  ///< 0: any
  /// Named by the host's own configuration (its registries, the job's GitLab): its name may resolve
  /// to a loopback or private address, never to a metadata or multicast one.
  bool any_address = false;
  std::string origin;  ///< who asked: `network.allow`, `--network-allow`, `preset agents`, …

  bool operator==(const NetworkRule&) const = default;
};

struct NetworkPolicy {
  std::vector<NetworkRule> allow;
  std::vector<NetworkRule> deny;  ///< wins over allow
  /// What the flow itself asked for (`x-flow-runner: network: {allow}`): a target must be in
  /// `allow` and in here. Absent: no narrowing.
  std::optional<std::vector<NetworkRule>> narrowed_to;

  bool operator==(const NetworkPolicy&) const = default;
};

/// Reads one entry. invalid_input says what is wrong and shows a right one: no port, a port out of
/// range, a scheme or path (a URL), a `*` that is not the first label, an address with host bits.
Result<NetworkRule> parse_network_rule(std::string_view text, std::string_view origin);

/// `host:port` as an entry of `network.allow` would be written; for messages.
std::string to_string(const NetworkRule& rule);

/// A host as a request writes it, in the one form that rules are compared in: lower case, one
/// trailing dot off, IPv6 in its shortest form without brackets or zone, IPv4-mapped IPv6 as IPv4.
/// invalid_input: percent signs, control and non-ASCII bytes, empty labels, labels over 63 and
/// names over 253 bytes, `_`-free LDH rule broken other than by `_`, and every numeric spelling of
/// an IPv4 address other than four decimal parts without leading zeros (0x7f.1, 017700000001,
/// 2130706433), which resolvers take and people do not see.
Result<std::string> canonical_host(std::string_view text);

struct NetworkVerdict {
  bool allowed = false;
  std::optional<NetworkRule> rule;  ///< the rule that decided; absent: none matched
  std::string reason;               ///< when denied: one sentence, lower case
  std::string cure;  ///< when denied and there is one: the entry to allow, `host:port`
};

/// By name and port alone, before anything is resolved. `host` is canonical. An IP literal matches
/// literal and block rules only.
NetworkVerdict decide(const NetworkPolicy& policy, std::string_view host, std::uint16_t port);

/// Whether `address`, which the host of an allowed target resolved to, may be connected to: not if
/// it is denied; if it is not global, only when the policy names the address itself (a literal or a
/// block, with the port) or `by` has any_address.
NetworkVerdict decide_address(const NetworkPolicy& policy, const NetworkRule& by,
                              const boost::asio::ip::address& address, std::uint16_t port);

}  // namespace flow_runner
