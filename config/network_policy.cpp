#include "config/network_policy.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace flow_runner {
namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t max_name_bytes = 253;
constexpr std::size_t max_label_bytes = 63;
constexpr const char* rule_example =
    "write `api.example.com:443`, `*.example.org:443`, `192.0.2.7:8080` or `[2001:db8::1]:443`";

Error wrong(std::string message) { return {ErrorCode::invalid_input, std::move(message)}; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// What resolvers take for an IPv4 address in a spelling that people do not see as one: the last
/// label is a number (WHATWG URL, "ends in a number").
bool ends_in_number(std::string_view name) {
  const auto dot = name.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  if (std::all_of(last.begin(), last.end(), is_digit)) return true;
  return last.starts_with("0x") &&
         last.substr(2).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<ip::address> literal(std::string_view text) {
  boost::system::error_code error;
  const auto address = ip::make_address(std::string(text), error);
  if (error) return std::nullopt;
  return address;
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64, 6to4, Teredo.
std::optional<ip::address_v4> embedded(const ip::address_v6& address) {
  const auto bytes = address.to_bytes();
  const auto at = [&](std::size_t first) {
    return ip::address_v4(
        {bytes.at(first), bytes.at(first + 1), bytes.at(first + 2), bytes.at(first + 3)});
  };
  const auto zero = [&](std::size_t first, std::size_t end) {
    return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(first),
                       bytes.begin() + static_cast<std::ptrdiff_t>(end),
                       [](unsigned char byte) { return byte == 0; });
  };
  if (zero(0, 10) && bytes[10] == 0xff && bytes[11] == 0xff) return at(12);
  if (zero(0, 12) && !address.is_loopback() && !address.is_unspecified()) return at(12);
  if (bytes[0] == 0x00 && bytes[1] == 0x64 && bytes[2] == 0xff && bytes[3] == 0x9b && zero(4, 12))
    return at(12);
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return at(2);
  if (bytes[0] == 0x20 && bytes[1] == 0x01 && zero(2, 4)) {
    const auto hidden = at(12).to_uint();
    return ip::address_v4(~hidden);
  }
  return std::nullopt;
}

struct Block4 {
  std::uint32_t network;
  unsigned bits;
  AddressClass address_class;
};

constexpr std::uint32_t quad(unsigned a, unsigned b, unsigned c, unsigned d) {
  return a << 24 | b << 16 | c << 8 | d;
}

// IANA's special-purpose registry for IPv4, the first match counts.
constexpr std::array blocks4 = {
    Block4{quad(0, 0, 0, 0), 8, AddressClass::unspecified},
    Block4{quad(127, 0, 0, 0), 8, AddressClass::loopback},
    Block4{quad(169, 254, 169, 254), 32, AddressClass::metadata},
    Block4{quad(169, 254, 170, 2), 32, AddressClass::metadata},
    Block4{quad(169, 254, 170, 23), 32, AddressClass::metadata},
    Block4{quad(100, 100, 100, 200), 32, AddressClass::metadata},
    Block4{quad(192, 0, 0, 192), 32, AddressClass::metadata},
    Block4{quad(168, 63, 129, 16), 32, AddressClass::metadata},
    Block4{quad(169, 254, 0, 0), 16, AddressClass::link_local},
    Block4{quad(10, 0, 0, 0), 8, AddressClass::private_network},
    Block4{quad(100, 64, 0, 0), 10, AddressClass::private_network},
    Block4{quad(172, 16, 0, 0), 12, AddressClass::private_network},
    Block4{quad(192, 0, 0, 0), 24, AddressClass::private_network},
    Block4{quad(192, 0, 2, 0), 24, AddressClass::private_network},
    Block4{quad(192, 88, 99, 0), 24, AddressClass::private_network},
    Block4{quad(192, 168, 0, 0), 16, AddressClass::private_network},
    Block4{quad(198, 18, 0, 0), 15, AddressClass::private_network},
    Block4{quad(198, 51, 100, 0), 24, AddressClass::private_network},
    Block4{quad(203, 0, 113, 0), 24, AddressClass::private_network},
    Block4{quad(224, 0, 0, 0), 4, AddressClass::multicast},
    Block4{quad(240, 0, 0, 0), 4, AddressClass::private_network},
};

bool in_block(std::uint32_t address, std::uint32_t network, unsigned bits) {
  return bits == 0 || (address ^ network) >> (32 - bits) == 0;
}

AddressClass classify_v4(const ip::address_v4& address) {
  const std::uint32_t value = address.to_uint();
  for (const auto& block : blocks4)
    if (in_block(value, block.network, block.bits)) return block.address_class;
  return AddressClass::global;
}

AddressClass classify_v6(const ip::address_v6& address) {
  if (address.is_unspecified()) return AddressClass::unspecified;
  if (address.is_loopback()) return AddressClass::loopback;
  if (const auto inner = embedded(address)) return classify_v4(*inner);
  static const std::array metadata = {ip::make_address_v6("fd00:ec2::254"),
                                      ip::make_address_v6("fd20:ce::254"),
                                      ip::make_address_v6("fd00:42::42")};
  auto plain = address;
  plain.scope_id(0);
  if (std::find(metadata.begin(), metadata.end(), plain) != metadata.end())
    return AddressClass::metadata;
  const auto bytes = address.to_bytes();
  if (address.is_multicast()) return AddressClass::multicast;
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) return AddressClass::link_local;
  // Only 2000::/3 is global unicast; in it, 2001:db8::/32 and 3fff::/20 are for documents.
  if ((bytes[0] & 0xe0) != 0x20) return AddressClass::private_network;
  if (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0d && bytes[3] == 0xb8)
    return AddressClass::private_network;
  if (bytes[0] == 0x3f && bytes[1] == 0xff && (bytes[2] & 0xf0) == 0)
    return AddressClass::private_network;
  return AddressClass::global;
}

bool same_block(const ip::address& address, const ip::address& network, unsigned bits) {
  if (address.is_v4() != network.is_v4()) return false;
  if (address.is_v4()) return in_block(address.to_v4().to_uint(), network.to_v4().to_uint(), bits);
  const auto left = address.to_v6().to_bytes();
  const auto right = network.to_v6().to_bytes();
  for (unsigned bit = 0; bit < bits; ++bit) {
    const unsigned mask = 0x80U >> (bit % 8);
    if ((left.at(bit / 8) & mask) != (right.at(bit / 8) & mask)) return false;
  }
  return true;
}

bool port_matches(const NetworkRule& rule, std::uint16_t port) {
  return rule.port == 0 || rule.port == port;
}

bool address_matches(const NetworkRule& rule, const ip::address& address) {
  if (rule.wildcard) return false;
  const auto network = literal(rule.host);
  if (!network) return false;
  const unsigned whole = network->is_v4() ? 32 : 128;
  return same_block(address, *network, rule.prefix_bits.value_or(whole));
}

bool matches(const NetworkRule& rule, std::string_view host, std::uint16_t port) {
  if (!port_matches(rule, port)) return false;
  if (const auto address = literal(host)) return address_matches(rule, *address);
  if (rule.prefix_bits) return false;
  if (!rule.wildcard) return host == rule.host;
  return host.size() > rule.host.size() + 1 && host.ends_with(rule.host) &&
         host[host.size() - rule.host.size() - 1] == '.';
}

const NetworkRule* find(const std::vector<NetworkRule>& rules, std::string_view host,
                        std::uint16_t port) {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const NetworkRule& rule) {
    return matches(rule, host, port);
  });
  return found == rules.end() ? nullptr : &*found;
}

std::string target(std::string_view host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  return (v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + std::to_string(port);
}

Result<std::uint16_t> parse_port(std::string_view text) {
  if (text == "*") return std::uint16_t{0};
  unsigned port = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || port == 0 ||
      port > 65535)
    return wrong("the port is a number from 1 to 65535, or * for any");
  return static_cast<std::uint16_t>(port);
}

/// Splits `host:port` at the right colon; IPv6 stands in brackets.
Result<std::pair<std::string_view, std::string_view>> split_rule(std::string_view text) {
  if (text.find("://") != std::string_view::npos)
    return wrong(std::string("an entry is a host and a port, not a URL: ") + rule_example);
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return wrong("the bracket of the address is not closed");
    if (close + 1 >= text.size() || text[close + 1] != ':')
      return wrong(std::string("an entry needs a port: ") + rule_example);
    colon = close + 1;
  } else if (colon == std::string_view::npos || text.find(':') != colon) {
    return wrong(std::string("an entry needs a host and a port: ") + rule_example);
  }
  return std::pair(text.substr(0, colon), text.substr(colon + 1));
}

Result<unsigned> parse_prefix(std::string_view text, const ip::address& network) {
  unsigned bits = 0;
  const unsigned most = network.is_v4() ? 32 : 128;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
      bits > most)
    return wrong("the block's size is a number from 0 to " + std::to_string(most));
  const auto masked = [&](unsigned bit, const auto& bytes) {
    return (bytes.at(bit / 8) & (0x80U >> (bit % 8))) != 0;
  };
  for (unsigned bit = bits; bit < most; ++bit)
    if (network.is_v4() ? masked(bit, network.to_v4().to_bytes())
                        : masked(bit, network.to_v6().to_bytes()))
      return wrong("the block's address has bits set behind its prefix");
  return bits;
}

}  // namespace

Result<std::string> canonical_host(std::string_view text) {
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return wrong("the bracket of the address is not closed");
    text = text.substr(1, text.size() - 2);
    if (text.find(':') == std::string_view::npos)
      return wrong("only an IPv6 address stands in brackets");
  }
  if (text.find(':') != std::string_view::npos) {
    if (text.find('%') != std::string_view::npos) return wrong("an address has no zone here");
    const auto address = literal(text);
    if (!address || !address->is_v6()) return wrong("this is no IPv6 address");
    const auto v6 = address->to_v6();
    if (v6.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, v6).to_string();
    return v6.to_string();
  }
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > max_name_bytes)
    return wrong("a host name has 1 to " + std::to_string(max_name_bytes) + " characters");
  std::string name;
  std::size_t label = 0;
  for (const char c : text) {
    if (c == '.') {
      if (label == 0) return wrong("a host name has no empty label");
      label = 0;
    } else if (++label > max_label_bytes) {
      return wrong("a label of a host name has at most " + std::to_string(max_label_bytes) +
                   " characters");
    }
    const bool upper = c >= 'A' && c <= 'Z';
    if (!upper && !is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_' && c != '.')
      return wrong("a host name has letters, digits, '-' and '.'; other scripts as punycode");
    name += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (label == 0) return wrong("a host name has no empty label");
  if (!ends_in_number(name)) return name;
  // libc takes four decimal parts only here; it refuses leading zeros.
  const auto address = literal(name);
  if (!address || !address->is_v4() || address->to_string() != name)
    return wrong("an IPv4 address has four decimal parts without leading zeros");
  return name;
}

Result<NetworkRule> parse_network_rule(std::string_view text, std::string_view origin) {
  FR_TRY(const auto parts, split_rule(text));
  auto [host, port] = parts;
  NetworkRule rule;
  rule.origin = origin;
  FR_TRY(rule.port, parse_port(port));
  if (host.find('/') != std::string_view::npos) {
    const auto slash = host.rfind('/');
    std::string_view network_text = host.substr(0, slash);
    std::string_view bits = host.substr(slash + 1);
    if (network_text.starts_with('[')) {
      network_text.remove_prefix(1);
      if (!bits.ends_with(']')) return wrong("write a block as `[2001:db8::/32]:443`");
      bits.remove_suffix(1);
    }
    FR_TRY(rule.host, canonical_host(network_text));
    const auto network = literal(rule.host);
    if (!network) return wrong(std::string("an entry has no path: ") + rule_example);
    FR_TRY(rule.prefix_bits, parse_prefix(bits, *network));
    return rule;
  }
  if (host.starts_with("*.")) {
    rule.wildcard = true;
    host.remove_prefix(2);
  }
  if (host.find('*') != std::string_view::npos)
    return wrong("a `*` stands for the first labels only: `*.example.org:443`");
  FR_TRY(rule.host, canonical_host(host));
  if (rule.wildcard && literal(rule.host))
    return wrong("a `*` stands before a name, not an address");
  return rule;
}

std::string to_string(const NetworkRule& rule) {
  std::string host = rule.wildcard ? "*." + rule.host : rule.host;
  if (rule.prefix_bits) host += "/" + std::to_string(*rule.prefix_bits);
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return host + ":" + (rule.port == 0 ? "*" : std::to_string(rule.port));
}

AddressClass classify(const ip::address& address) {
  return address.is_v4() ? classify_v4(address.to_v4()) : classify_v6(address.to_v6());
}

std::string_view to_string(AddressClass address_class) {
  switch (address_class) {
    case AddressClass::global:
      return "global";
    case AddressClass::loopback:
      return "loopback";
    case AddressClass::private_network:
      return "private";
    case AddressClass::link_local:
      return "link-local";
    case AddressClass::metadata:
      return "metadata";
    case AddressClass::multicast:
      return "multicast";
    case AddressClass::unspecified:
      return "unspecified";
  }
  return "unknown";
}

NetworkVerdict decide(const NetworkPolicy& policy, std::string_view host, std::uint16_t port) {
  const std::string asked = target(host, port);
  if (const auto* rule = find(policy.deny, host, port))
    return {false, *rule, asked + " is denied by " + rule->origin, {}};
  const auto* rule = find(policy.allow, host, port);
  if (rule == nullptr) return {false, {}, asked + " is not in network.allow", asked};
  if (policy.narrowed_to && find(*policy.narrowed_to, host, port) == nullptr)
    return {false, *rule, asked + " is not among the hosts that the flow asked for itself", {}};
  return {true, *rule, {}, {}};
}

NetworkVerdict decide_address(const NetworkPolicy& policy, const NetworkRule& by,
                              const ip::address& address, std::uint16_t port) {
  ip::address plain = address;
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    plain = ip::make_address_v4(ip::v4_mapped, address.to_v6());
  const auto names = [&](const NetworkRule& rule) {
    return port_matches(rule, port) && address_matches(rule, plain);
  };
  const std::string asked = target(plain.to_string(), port);
  if (const auto denied = std::find_if(policy.deny.begin(), policy.deny.end(), names);
      denied != policy.deny.end())
    return {false, *denied, asked + " is denied by " + denied->origin, {}};
  const AddressClass address_class = classify(plain);
  if (address_class == AddressClass::global) return {true, by, {}, {}};
  const bool named = std::any_of(policy.allow.begin(), policy.allow.end(), names);
  const bool trusted = by.any_address && address_class != AddressClass::metadata &&
                       address_class != AddressClass::multicast;
  if (named || trusted) return {true, by, {}, {}};
  return {false, by,
          "the name leads to " + plain.to_string() + ", a " +
              std::string(to_string(address_class)) + " address, which must be named itself",
          asked};
}

}  // namespace flow_runner
