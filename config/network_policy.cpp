#include "config/network_policy.hpp"

#include <algorithm>
#include <array>
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
std::string shown(std::string_view text) {
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
    if (label.empty()) return invalid("the host name " + shown(name) + " has an empty label");
    if (label.size() > max_label_bytes)
      return invalid("the host name " + shown(name) + " has a label longer than 63 bytes");
    if (label.front() == '-' || label.back() == '-')
      return invalid("the host name " + shown(name) + " has a label that begins or ends with '-'");
    for (const char c : label) {
      if (is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_') continue;
      return invalid("the host name " + shown(name) +
                     " holds a character other than letters, digits, '-', '_' and '.'");
    }
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  if (is_number(label))
    return invalid(shown(name) +
                   " is an unusual spelling of an address; write four decimal numbers without "
                   "leading zeros, as in 192.0.2.1");
  return {};
}

ip::address unmapped(const ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

/// The address that a canonical host is, if it is one.
std::optional<ip::address> literal(std::string_view host) {
  boost::system::error_code error;
  const auto address = ip::make_address(host, error);
  if (error) return std::nullopt;
  return address;
}

/// Up to 128 bits, the most significant first.
struct Bits {
  std::array<std::uint8_t, 16> bytes{};
  unsigned count = 0;
};

Bits bits_of(const ip::address& address) {
  Bits bits;
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    std::copy(bytes.begin(), bytes.end(), bits.bytes.begin());
    bits.count = 32;
  } else {
    bits.bytes = address.to_v6().to_bytes();
    bits.count = 128;
  }
  return bits;
}

bool same_prefix(const Bits& left, const Bits& right, unsigned prefix) {
  if (left.count != right.count) return false;
  for (unsigned bit = 0; bit < prefix; ++bit) {
    const unsigned mask = 0x80U >> (bit % 8);
    if (((left.bytes[bit / 8] ^ right.bytes[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

bool has_host_bits(const Bits& bits, unsigned prefix) {
  for (unsigned bit = prefix; bit < bits.count; ++bit)
    if ((bits.bytes[bit / 8] & (0x80U >> (bit % 8))) != 0) return true;
  return false;
}

struct Block {
  const char* address;
  unsigned prefix;
  AddressClass is;
};

// First match wins. IANA's special-purpose registries, and what the large clouds document as the
// address of their metadata services (Azure's lies in global space).
constexpr std::array blocks_v4 = std::to_array<Block>({
    {"169.254.169.0", 24, AddressClass::metadata},
    {"169.254.170.0", 24, AddressClass::metadata},
    {"169.254.42.42", 32, AddressClass::metadata},
    {"100.100.100.200", 32, AddressClass::metadata},
    {"168.63.129.16", 32, AddressClass::metadata},
    {"192.0.0.192", 32, AddressClass::metadata},
    {"0.0.0.0", 8, AddressClass::unspecified},
    {"127.0.0.0", 8, AddressClass::loopback},
    {"169.254.0.0", 16, AddressClass::link_local},
    {"224.0.0.0", 4, AddressClass::multicast},
    {"10.0.0.0", 8, AddressClass::private_network},
    {"100.64.0.0", 10, AddressClass::private_network},
    {"172.16.0.0", 12, AddressClass::private_network},
    {"192.0.0.0", 24, AddressClass::private_network},
    {"192.0.2.0", 24, AddressClass::private_network},
    {"192.88.99.0", 24, AddressClass::private_network},
    {"192.168.0.0", 16, AddressClass::private_network},
    {"198.18.0.0", 15, AddressClass::private_network},
    {"198.51.100.0", 24, AddressClass::private_network},
    {"203.0.113.0", 24, AddressClass::private_network},
    {"240.0.0.0", 4, AddressClass::private_network},
});

constexpr std::array blocks_v6 = std::to_array<Block>({
    {"::", 128, AddressClass::unspecified},
    {"::1", 128, AddressClass::loopback},
    {"fd00:ec2::", 32, AddressClass::metadata},
    {"fd20:ce::254", 128, AddressClass::metadata},
    {"fd00:42::42", 128, AddressClass::metadata},
    {"fe80::", 10, AddressClass::link_local},
    {"ff00::", 8, AddressClass::multicast},
    {"2001::", 23, AddressClass::private_network},
    {"2001:db8::", 32, AddressClass::private_network},
    {"3fff::", 20, AddressClass::private_network},
    {"2000::", 3, AddressClass::global},
});

template <std::size_t n>
std::vector<std::pair<Bits, const Block*>> compiled(const std::array<Block, n>& blocks) {
  std::vector<std::pair<Bits, const Block*>> out;
  for (const Block& block : blocks)
    out.emplace_back(bits_of(ip::make_address(block.address)), &block);
  return out;
}

AddressClass look_up(const ip::address& address) {
  static const auto v4 = compiled(blocks_v4);
  static const auto v6 = compiled(blocks_v6);
  const Bits bits = bits_of(address);
  for (const auto& [first, block] : address.is_v4() ? v4 : v6)
    if (same_prefix(first, bits, block->prefix)) return block->is;
  // All of IPv6 outside 2000::/3 is reserved; IPv4 is global unless it is listed.
  return address.is_v4() ? AddressClass::global : AddressClass::private_network;
}

/// IPv4 addresses that an IPv6 one carries to whoever translates it. Teredo carries two.
std::vector<ip::address> embedded(const ip::address& address) {
  if (address.is_v4()) return {};
  const auto bytes = address.to_v6().to_bytes();
  const auto v4_at = [&](std::size_t at, std::uint8_t inverted) -> ip::address {
    ip::address_v4::bytes_type v4{};
    for (std::size_t i = 0; i < 4; ++i) v4[i] = static_cast<std::uint8_t>(bytes[at + i] ^ inverted);
    return ip::address_v4(v4);
  };
  const auto begins_with = [&](const char* prefix, unsigned count) {
    return same_prefix(bits_of(ip::make_address(prefix)), bits_of(address), count);
  };
  if (address.to_v6().is_unspecified() || address.to_v6().is_loopback()) return {};
  if (begins_with("::ffff:0.0.0.0", 96) || begins_with("::", 96) || begins_with("64:ff9b::", 96))
    return {v4_at(12, 0)};
  if (begins_with("2002::", 16)) return {v4_at(2, 0)};
  if (begins_with("2001::", 32)) return {v4_at(12, 0xff), v4_at(4, 0)};
  return {};
}

std::string with_port(std::string_view host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  return (v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" +
         (port == 0 ? "*" : std::to_string(port));
}

bool matches_address(const NetworkRule& rule, const ip::address& address, std::uint16_t port) {
  if (rule.wildcard || (rule.port != 0 && rule.port != port)) return false;
  const auto own = literal(rule.host);
  if (!own) return false;
  const Bits bits = bits_of(*own);
  return same_prefix(bits, bits_of(address), rule.prefix_bits.value_or(bits.count));
}

bool matches(const NetworkRule& rule, std::string_view host, std::uint16_t port) {
  if (const auto address = literal(host)) return matches_address(rule, unmapped(*address), port);
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
    return invalid(shown(entry) +
                   " has no port from 1 to 65535 (or '*' for any), as in example.com:443");
  return static_cast<std::uint16_t>(port);
}

Result<NetworkRule> parse_block(std::string_view host, std::string_view prefix,
                                std::string_view entry) {
  const auto address = literal(host);
  if (!address || (address->is_v6() && address->to_v6().scope_id() != 0))
    return invalid(shown(entry) + " has a path; write host:port, or a block as in 10.0.0.0/8:443");
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), bits);
  if (prefix.empty() || error != std::errc() || end != prefix.data() + prefix.size() ||
      bits > bits_of(*address).count)
    return invalid(shown(entry) + " has no valid block size, as in 10.0.0.0/8:443");
  ip::address first = unmapped(*address);
  if (first.is_v4() && address->is_v6()) {
    if (bits < 96) return invalid(shown(entry) + " is larger than the block of mapped addresses");
    bits -= 96;
  }
  if (has_host_bits(bits_of(first), bits))
    return invalid(shown(entry) +
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
    return invalid(shown(entry) +
                   " has a '*' that is not the first label before a domain; write "
                   "*.example.com:443");
  auto canonical = canonical_host(host);
  if (!canonical) return invalid(shown(entry) + ": " + canonical.error().message);
  if (rule.wildcard && literal(*canonical))
    return invalid(shown(entry) +
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
      return invalid(shown(text) + " has no port; write " +
                     (text.empty() || colon == 0 ? "example.com:443" : std::string(text) + ":443") +
                     ", or :* for any");
    const std::string_view host = text.substr(0, colon);
    if (host.find(':') != std::string_view::npos)
      return invalid(shown(text) +
                     " has an IPv6 address without brackets or without port; write "
                     "[2001:db8::1]:443");
    return std::pair(std::string(host), text.substr(colon + 1));
  }
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos || colon < close)
    return invalid(shown(text) + " has no port; write [2001:db8::1]:443");
  const std::string_view inside = text.substr(1, close - 1);
  const std::string_view between = text.substr(close + 1, colon - close - 1);
  if (inside.find(':') == std::string_view::npos || (!between.empty() && between.front() != '/'))
    return invalid(shown(text) + " is not an IPv6 entry; write [2001:db8::1]:443");
  return std::pair(std::string(inside) + std::string(between), text.substr(colon + 1));
}

}  // namespace

Result<std::string> canonical_host(std::string_view text) {
  if (text.empty()) return invalid("the host is empty");
  if (text.size() > max_name_bytes + 1) return invalid("the host name is longer than 253 bytes");
  for (const char c : text) {
    if (c == '%') return invalid("the host " + shown(text) + " holds a percent sign");
    if (c <= 0x20 || c >= 0x7f)
      return invalid("the host " + shown(text) +
                     " holds a byte that is not printable ASCII; write the xn-- form of a name");
  }
  const bool brackets = text.front() == '[';
  if (brackets && (text.size() < 2 || text.back() != ']'))
    return invalid("the host " + shown(text) + " has an open bracket");
  if (brackets || text.find(':') != std::string_view::npos) {
    const std::string_view inside = brackets ? text.substr(1, text.size() - 2) : text;
    boost::system::error_code error;
    const auto address = ip::make_address_v6(inside, error);
    if (error) return invalid("the host " + shown(text) + " is no IPv6 address");
    return unmapped(address).to_string();
  }
  std::string host(text);
  std::transform(host.begin(), host.end(), host.begin(), lower);
  if (host.back() == '.') host.pop_back();
  if (literal(host)) return host;
  FR_CHECK(check_name(host));
  return host;
}

Result<NetworkRule> parse_network_rule(std::string_view text, std::string_view origin) {
  if (text.find("://") != std::string_view::npos)
    return invalid(shown(text) + " is a URL; write the host and its port, as in example.com:443");
  if (text.find('@') != std::string_view::npos)
    return invalid(shown(text) + " names a user; write the host and its port only");
  FR_TRY(const auto parts, split(text));
  FR_TRY(NetworkRule rule, parse_host(parts.first, text));
  if (parts.second.empty())
    return invalid(shown(text) + " has no port; write example.com:443, or :* for any");
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

AddressClass classify(const ip::address& address) {
  for (const auto& inner : embedded(address))
    if (const AddressClass is = look_up(inner); is != AddressClass::global) return is;
  if (!embedded(address).empty()) return AddressClass::global;
  return look_up(address);
}

std::string_view to_string(AddressClass address_class) {
  switch (address_class) {
    case AddressClass::global:
      return "global";
    case AddressClass::loopback:
      return "loopback";
    case AddressClass::private_network:
      return "private network";
    case AddressClass::link_local:
      return "link-local";
    case AddressClass::metadata:
      return "cloud metadata";
    case AddressClass::multicast:
      return "multicast";
    case AddressClass::unspecified:
      return "unspecified";
  }
  return "unknown";
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
  auto faces = embedded(address);
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
