#include "config/network_policy.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <boost/asio/ip/address.hpp>

namespace flow_runner {
namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t max_name_bytes = 253;
constexpr std::size_t max_label_bytes = 63;
constexpr std::size_t max_shown_bytes = 80;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// What somebody wrote, for a message: bounded, one line, printable.
std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, max_shown_bytes)) out += c >= 0x20 && c < 0x7f ? c : '?';
  if (text.size() > max_shown_bytes) out += "...";
  return out + "'";
}

Error invalid(std::string message) { return {ErrorCode::invalid_input, std::move(message)}; }

/// Octal, hexadecimal or decimal, as inet_aton(3) takes a part of an address.
bool is_number(std::string_view label) {
  if (label.starts_with("0x")) {
    return std::all_of(label.begin() + 2, label.end(),
                       [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
  }
  return std::all_of(label.begin(), label.end(), is_digit);
}

Result<void> check_name(std::string_view name) {
  if (name.size() > max_name_bytes) return invalid("the host name is longer than 253 bytes");
  std::string_view label;
  for (std::string_view rest = name;;) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    label = rest.substr(0, end);
    if (label.empty()) return invalid("the host name " + in_quotes(name) + " has an empty label");
    if (label.size() > max_label_bytes)
      return invalid("the host name " + in_quotes(name) + " has a label longer than 63 bytes");
    if (label.front() == '-' || label.back() == '-')
      return invalid("the host name " + in_quotes(name) +
                     " has a label that begins or ends with '-'");
    for (const char c : label) {
      if (is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_') continue;
      return invalid("the host name " + in_quotes(name) +
                     " holds a character other than letters, digits, '-', '_' and '.'");
    }
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  if (is_number(label))
    return invalid(in_quotes(name) +
                   " is an unusual spelling of an address; write four decimal numbers without "
                   "leading zeros, as in 192.0.2.1");
  return {};
}

std::string with_port(std::string_view host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  return (v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" +
         (port == 0 ? "*" : std::to_string(port));
}

bool matches_address(const NetworkRule& rule, const ip::address& address, std::uint16_t port) {
  if (rule.wildcard || (rule.port != 0 && rule.port != port)) return false;
  const auto own = literal_address(rule.host);
  if (!own) return false;
  const AddressBits bits = bits_of(*own);
  return same_prefix(bits, bits_of(address), rule.prefix_bits.value_or(bits.count));
}

bool matches(const NetworkRule& rule, std::string_view host, std::uint16_t port) {
  if (const auto address = literal_address(host))
    return matches_address(rule, unmapped(*address), port);
  if (rule.prefix_bits || (rule.port != 0 && rule.port != port)) return false;
  if (!rule.wildcard) return rule.host == host;
  return host.size() > rule.host.size() + 1 && host.ends_with(rule.host) &&
         host[host.size() - rule.host.size() - 1] == '.';
}

const NetworkRule* find(const std::vector<NetworkRule>& rules, std::string_view host,
                        std::uint16_t port) {
  const NetworkRule* found = nullptr;
  for (const auto& rule : rules) {
    if (!matches(rule, host, port)) continue;
    // decide_address() goes by the rule that is found here: the one that allows more.
    if (found == nullptr || (rule.any_address && !found->any_address)) found = &rule;
  }
  return found;
}

NetworkVerdict denied_by(const NetworkRule& rule, const std::string& target) {
  return {.allowed = false,
          .rule = rule,
          .reason = target + " is denied by '" + to_string(rule) + "' (" +
                    (rule.origin.empty() ? "network.deny" : rule.origin) + ")",
          .cure = {}};
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view entry) {
  if (text == "*") return std::uint16_t{0};
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || text.front() == '0' ||
      port > 65535)
    return invalid(in_quotes(entry) +
                   " has no port from 1 to 65535 (or '*' for any), as in example.com:443");
  return static_cast<std::uint16_t>(port);
}

Result<NetworkRule> parse_block(std::string_view host, std::string_view prefix,
                                std::string_view entry) {
  const auto address = literal_address(host);
  if (!address || (address->is_v6() && address->to_v6().scope_id() != 0))
    return invalid(in_quotes(entry) +
                   " has a path; write host:port, or a block as in 10.0.0.0/8:443");
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), bits);
  if (prefix.empty() || error != std::errc() || end != prefix.data() + prefix.size() ||
      bits > bits_of(*address).count)
    return invalid(in_quotes(entry) + " has no valid block size, as in 10.0.0.0/8:443");
  ip::address first = unmapped(*address);
  if (first.is_v4() && address->is_v6()) {
    if (bits < 96)
      return invalid(in_quotes(entry) + " is larger than the block of mapped addresses");
    bits -= 96;
  }
  if (has_host_bits(bits_of(first), bits))
    return invalid(in_quotes(entry) +
                   " names an address in the middle of its block; write the block's "
                   "first address, as in 10.0.0.0/8:443");
  NetworkRule rule;
  rule.host = first.to_string();
  rule.prefix_bits = bits;
  return rule;
}

Result<NetworkRule> parse_host(std::string_view host, std::string_view entry) {
  if (const std::size_t slash = host.find('/'); slash != std::string_view::npos)
    return parse_block(host.substr(0, slash), host.substr(slash + 1), entry);
  NetworkRule rule;
  if (host.starts_with("*.")) {
    rule.wildcard = true;
    host.remove_prefix(2);
  }
  if (host.find('*') != std::string_view::npos)
    return invalid(in_quotes(entry) +
                   " has a '*' that is not the first label before a domain; write "
                   "*.example.com:443");
  auto canonical = canonical_host(host);
  if (!canonical) return invalid(in_quotes(entry) + ": " + canonical.error().message);
  if (rule.wildcard && literal_address(*canonical))
    return invalid(in_quotes(entry) +
                   " has a '*' before an address; write a block, as in "
                   "10.0.0.0/8:443");
  rule.host = std::move(*canonical);
  return rule;
}

/// Splits `host:port`, `[v6]:port`, `[v6/32]:port` and `[v6]/32:port`.
Result<std::pair<std::string, std::string_view>> split(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (!text.starts_with('[')) {
    if (colon == std::string_view::npos || colon == 0)
      return invalid(in_quotes(text) + " has no port; write " +
                     (canonical_host(text) ? std::string(text) : "example.com") +
                     ":443, or :* for any");
    const std::string_view host = text.substr(0, colon);
    if (host.find(':') != std::string_view::npos)
      return invalid(in_quotes(text) +
                     " has an IPv6 address without brackets or without port; write "
                     "[2001:db8::1]:443");
    return std::pair(std::string(host), text.substr(colon + 1));
  }
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos || colon < close)
    return invalid(in_quotes(text) + " has no port; write [2001:db8::1]:443");
  const std::string_view inside = text.substr(1, close - 1);
  const std::string_view between = text.substr(close + 1, colon - close - 1);
  if (inside.find(':') == std::string_view::npos || (!between.empty() && between.front() != '/'))
    return invalid(in_quotes(text) + " is not an IPv6 entry; write [2001:db8::1]:443");
  return std::pair(std::string(inside) + std::string(between), text.substr(colon + 1));
}

}  // namespace

Result<std::string> canonical_host(std::string_view text) {
  if (text.empty()) return invalid("the host is empty");
  if (text.size() > max_name_bytes + 1) return invalid("the host name is longer than 253 bytes");
  for (const char c : text) {
    if (c == '%') return invalid("the host " + in_quotes(text) + " holds a percent sign");
    if (c <= 0x20 || c >= 0x7f)
      return invalid("the host " + in_quotes(text) +
                     " holds a byte that is not printable ASCII; write the xn-- form of a name");
  }
  const bool brackets = text.front() == '[';
  if (brackets && (text.size() < 2 || text.back() != ']'))
    return invalid("the host " + in_quotes(text) + " has an open bracket");
  if (brackets || text.find(':') != std::string_view::npos) {
    const std::string_view inside = brackets ? text.substr(1, text.size() - 2) : text;
    boost::system::error_code error;
    const auto address = ip::make_address_v6(inside, error);
    if (error) return invalid("the host " + in_quotes(text) + " is no IPv6 address");
    return unmapped(address).to_string();
  }
  std::string host(text);
  std::transform(host.begin(), host.end(), host.begin(), lower);
  if (host.back() == '.') host.pop_back();
  if (literal_address(host)) return host;
  FR_CHECK(check_name(host));
  return host;
}

Result<NetworkRule> parse_network_rule(std::string_view text, std::string_view origin) {
  if (text.find("://") != std::string_view::npos)
    return invalid(in_quotes(text) +
                   " is a URL; write the host and its port, as in example.com:443");
  if (text.find('@') != std::string_view::npos)
    return invalid(in_quotes(text) + " names a user; write the host and its port only");
  FR_TRY(const auto parts, split(text));
  FR_TRY(NetworkRule rule, parse_host(parts.first, text));
  if (parts.second.empty())
    return invalid(in_quotes(text) + " has no port; write example.com:443, or :* for any");
  FR_TRY(rule.port, parse_port(parts.second, text));
  rule.origin = std::string(origin);
  return rule;
}

std::string to_string(const NetworkRule& rule) {
  std::string host = rule.host;
  if (rule.wildcard) host = "*." + host;
  if (!rule.prefix_bits) return with_port(host, rule.port);
  host += "/" + std::to_string(*rule.prefix_bits);
  return with_port(host, rule.port);
}

NetworkVerdict decide(const NetworkPolicy& policy, std::string_view host, std::uint16_t port) {
  const std::string target = with_port(host, port);
  if (const auto* rule = find(policy.deny, host, port)) return denied_by(*rule, target);
  const NetworkRule* allowed = find(policy.allow, host, port);
  if (allowed == nullptr)
    return {.allowed = false,
            .rule = {},
            .reason = target + " is not in network.allow",
            .cure = target};
  if (policy.narrowed_to && find(*policy.narrowed_to, host, port) == nullptr)
    return {.allowed = false,
            .rule = {},
            .reason = target + " is not in the network.allow of the flow's own x-flow-runner",
            .cure = target};
  return {.allowed = true, .rule = *allowed, .reason = {}, .cure = {}};
}

NetworkVerdict decide_address(const NetworkPolicy& policy, const NetworkRule& by,
                              const ip::address& resolved, std::uint16_t port) {
  const ip::address address = unmapped(resolved);
  const std::string target = with_port(address.to_string(), port);
  auto faces = embedded_addresses(address);
  faces.push_back(address);
  for (const auto& face : faces)
    for (const auto& rule : policy.deny)
      if (matches_address(rule, face, port)) return denied_by(rule, target);

  const AddressClass is = classify(address);
  if (is == AddressClass::global) return {.allowed = true, .rule = by, .reason = {}, .cure = {}};
  for (const auto& rule : policy.allow)
    if (matches_address(rule, address, port))
      return {.allowed = true, .rule = rule, .reason = {}, .cure = {}};
  if (by.any_address && (is == AddressClass::loopback || is == AddressClass::private_network))
    return {.allowed = true, .rule = by, .reason = {}, .cure = {}};
  return {.allowed = false,
          .rule = by,
          .reason = "the name leads to " + target + ", a " + std::string(to_string(is)) +
                    " address, which only an entry that names the address allows",
          .cure = target};
}

}  // namespace flow_runner
