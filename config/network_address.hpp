// Network addresses: which kind of place each one is, and whether it lies in a block. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/asio/ip/address.hpp>

namespace flow_runner {

enum class AddressClass {
  global,
  loopback,
  private_network,  ///< RFC 1918, RFC 6598, ULA, benchmarking, and what IANA lists as not global
  link_local,
  metadata,  ///< 169.254.169.254 and its kin of the large clouds (fd00:ec2::254, 100.100.100.200,
             ///< …)
  multicast,
  unspecified,  ///< 0.0.0.0/8 and ::, which the kernel takes for loopback
};
/// Addresses embedded in IPv6 (mapped, compatible, NAT64 64:ff9b::/96, 6to4, Teredo) count as what
/// they embed.
AddressClass classify(const boost::asio::ip::address& address);
std::string_view to_string(AddressClass address_class);

/// An IPv4-mapped IPv6 address as the IPv4 one that it is.
boost::asio::ip::address unmapped(const boost::asio::ip::address& address);

/// The address that a canonical host (see canonical_host) is, if it is one.
std::optional<boost::asio::ip::address> literal_address(std::string_view host);

/// IPv4 addresses that an IPv6 one carries to whoever translates it. Teredo carries two.
std::vector<boost::asio::ip::address> embedded_addresses(const boost::asio::ip::address& address);

/// Up to 128 bits, the most significant first.
struct AddressBits {
  std::array<std::uint8_t, 16> bytes{};
  unsigned count = 0;
};
AddressBits bits_of(const boost::asio::ip::address& address);
/// Of addresses of the same family.
bool same_prefix(const AddressBits& left, const AddressBits& right, unsigned prefix);
/// Whether anything is set behind the prefix.
bool has_host_bits(const AddressBits& bits, unsigned prefix);

}  // namespace flow_runner
