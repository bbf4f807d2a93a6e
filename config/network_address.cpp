#include "config/network_address.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace flow_runner {

namespace ip = boost::asio::ip;

namespace {

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
std::vector<std::pair<AddressBits, const Block*>> compiled(const std::array<Block, n>& blocks) {
  std::vector<std::pair<AddressBits, const Block*>> out;
  for (const Block& block : blocks)
    out.emplace_back(bits_of(ip::make_address(block.address)), &block);
  return out;
}

AddressClass look_up(const ip::address& address) {
  static const auto v4 = compiled(blocks_v4);
  static const auto v6 = compiled(blocks_v6);
  const AddressBits bits = bits_of(address);
  for (const auto& [first, block] : address.is_v4() ? v4 : v6)
    if (same_prefix(first, bits, block->prefix)) return block->is;
  // All of IPv6 outside 2000::/3 is reserved; IPv4 is global unless it is listed.
  return address.is_v4() ? AddressClass::global : AddressClass::private_network;
}

}  // namespace

std::vector<ip::address> embedded_addresses(const ip::address& address) {
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

ip::address unmapped(const ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

std::optional<ip::address> literal_address(std::string_view host) {
  boost::system::error_code error;
  const auto address = ip::make_address(host, error);
  if (error) return std::nullopt;
  return address;
}

AddressBits bits_of(const ip::address& address) {
  AddressBits bits;
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

bool same_prefix(const AddressBits& left, const AddressBits& right, unsigned prefix) {
  if (left.count != right.count) return false;
  for (unsigned bit = 0; bit < prefix; ++bit) {
    const unsigned mask = 0x80U >> (bit % 8);
    if (((left.bytes[bit / 8] ^ right.bytes[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

bool has_host_bits(const AddressBits& bits, unsigned prefix) {
  for (unsigned bit = prefix; bit < bits.count; ++bit)
    if ((bits.bytes[bit / 8] & (0x80U >> (bit % 8))) != 0) return true;
  return false;
}

AddressClass classify(const ip::address& address) {
  for (const auto& inner : embedded_addresses(address))
    if (const AddressClass is = look_up(inner); is != AddressClass::global) return is;
  if (!embedded_addresses(address).empty()) return AddressClass::global;
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

}  // namespace flow_runner
