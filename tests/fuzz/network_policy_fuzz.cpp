// Fuzzes the network policy: an entry, a host and a port; whatever they are, nothing passes that
// the entry does not name. The input: entry, line feed, host, line feed, 2 bytes of port, an
// address.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <boost/asio/ip/address.hpp>

#include "config/network_policy.hpp"

using namespace flow_runner;
namespace ip = boost::asio::ip;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const auto line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

std::uint8_t take_byte(std::string_view& rest) {
  if (rest.empty()) return 0;
  const auto byte = static_cast<std::uint8_t>(rest.front());
  rest.remove_prefix(1);
  return byte;
}

ip::address take_address(std::string_view& rest) {
  if (take_byte(rest) % 2 == 0) {
    ip::address_v4::bytes_type bytes;
    for (auto& byte : bytes) byte = take_byte(rest);
    return ip::address_v4(bytes);
  }
  ip::address_v6::bytes_type bytes;
  for (auto& byte : bytes) byte = take_byte(rest);
  return ip::address_v6(bytes);
}

void check_host(std::string_view text) {
  const auto host = canonical_host(text);
  if (!host) {
    require(host.error().code == ErrorCode::invalid_input && host.error().message.size() < 400);
    return;
  }
  require(!host->empty() && host->size() <= 253);
  for (const char c : *host)
    require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
            c == ':');
  const auto again = canonical_host(*host);
  require(again && *again == *host);
}

void check_addresses(const NetworkRule& rule, const ip::address& address, std::uint16_t port) {
  NetworkPolicy policy;
  policy.allow.push_back(rule);
  NetworkRule by;
  by.host = "a.test";
  const AddressClass is = classify(address);
  const bool literal = rule.prefix_bits || canonical_host(rule.host)->find_first_not_of(
                                               "0123456789.:abcdef") == std::string::npos;
  // Named by a name only: no address passes but a global one.
  if (!literal || (rule.port != 0 && rule.port != port))
    require(decide_address(policy, by, address, port).allowed == (is == AddressClass::global));
  by.any_address = true;
  if (!literal && decide_address(policy, by, address, port).allowed)
    require(is == AddressClass::global || is == AddressClass::loopback ||
            is == AddressClass::private_network);
  // What is denied stays denied.
  policy.deny.push_back(rule);
  policy.deny[0].port = 0;
  const auto host = canonical_host(address.to_string());
  require(host.has_value() || (address.is_v6() && address.to_v6().scope_id() != 0));
  if (host && !decide(policy, *host, port).allowed &&
      decide({.allow = {rule}, .deny = {}, .narrowed_to = {}}, *host, port).allowed)
    require(!decide_address(policy, by, address, port).allowed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view entry = take_line(rest);
  const std::string_view host_text = take_line(rest);
  const auto port = static_cast<std::uint16_t>(take_byte(rest) << 8U | take_byte(rest));
  const ip::address address = take_address(rest);
  check_host(host_text);
  check_host(entry);
  check_host(address.to_string());

  const auto rule = parse_network_rule(entry, "fuzz");
  if (!rule) {
    require(rule.error().code == ErrorCode::invalid_input && rule.error().message.size() < 600);
    return 0;
  }
  // What is written is what is read.
  const auto again = parse_network_rule(to_string(*rule), "fuzz");
  require(again && *again == *rule);
  check_addresses(*rule, address, port);

  const auto host = canonical_host(host_text);
  if (!host) return 0;
  NetworkPolicy policy;
  policy.allow.push_back(*rule);
  const auto verdict = decide(policy, *host, port);
  require(verdict.allowed == verdict.rule.has_value());
  require(verdict.allowed == verdict.reason.empty());
  if (verdict.allowed) {
    require(rule->port == 0 || rule->port == port);
    if (rule->wildcard)
      require(host->size() > rule->host.size() + 1 && host->ends_with(rule->host));
    if (!rule->wildcard && !rule->prefix_bits) require(*host == rule->host);
  } else if (port != 0) {
    // The cure cures.
    const auto cure = parse_network_rule(verdict.cure, "fuzz");
    require(cure.has_value());
    policy.allow.push_back(*cure);
    require(decide(policy, *host, port).allowed);
  }
  policy.narrowed_to.emplace();
  require(!decide(policy, *host, port).allowed);
  return 0;
}
