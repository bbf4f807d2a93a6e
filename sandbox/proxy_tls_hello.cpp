#include "sandbox/proxy_tls_hello.hpp"

#include <boost/asio/ip/address.hpp>

#include "config/network_policy.hpp"

namespace flow_runner {
namespace {

/// Takes bytes off the front; reading over the end makes it fail for good.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  std::string_view take(std::size_t count) {
    if (count > bytes_.size()) {
      failed_ = true;
      bytes_ = {};
      return {};
    }
    const auto taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  std::size_t number(std::size_t bytes) {
    std::size_t value = 0;
    for (const char c : take(bytes)) value = value << 8U | static_cast<std::uint8_t>(c);
    return value;
  }
  /// What a length of so many bytes counts.
  Reader block(std::size_t length_bytes) { return Reader(take(number(length_bytes))); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

ClientHello malformed() { return {.state = ClientHello::State::malformed, .server_name = {}}; }

constexpr std::size_t record_header_bytes = 5;
constexpr std::size_t max_record_bytes = 1U << 14U;
constexpr std::size_t handshake_header_bytes = 4;
constexpr std::size_t client_hello_type = 1;
constexpr std::size_t server_name_extension = 0;

bool read_server_name(Reader extension, ClientHello& hello) {
  if (hello.server_name) return false;
  Reader list = extension.block(2);
  if (extension.failed() || !extension.empty()) return false;
  if (list.number(1) != 0) return false;
  const Reader name = list.block(2);
  if (list.failed() || !list.empty() || name.empty()) return false;
  hello.server_name = std::string(name.rest());
  return true;
}

ClientHello read_hello(std::string_view body) {
  Reader reader(body);
  reader.take(2 + 32);  // version, random
  reader.block(1);      // session
  reader.block(2);      // cipher suites
  reader.block(1);      // compression
  if (reader.failed()) return malformed();
  ClientHello hello{.state = ClientHello::State::complete, .server_name = {}};
  if (reader.empty()) return hello;
  Reader extensions = reader.block(2);
  if (reader.failed() || !reader.empty()) return malformed();
  while (!extensions.empty()) {
    const std::size_t type = extensions.number(2);
    const Reader extension = extensions.block(2);
    if (extensions.failed()) return malformed();
    if (type == server_name_extension && !read_server_name(extension, hello)) return malformed();
  }
  return hello;
}

}  // namespace

ClientHello parse_client_hello(std::string_view bytes) {
  std::string handshake;
  while (!bytes.empty()) {
    if (static_cast<std::uint8_t>(bytes[0]) != tls_handshake_record) return malformed();
    if (bytes.size() > 1 && bytes[1] != 3) return malformed();
    if (bytes.size() < record_header_bytes) break;
    Reader header(bytes.substr(3, 2));
    const std::size_t length = header.number(2);
    if (length == 0 || length > max_record_bytes) return malformed();
    handshake += bytes.substr(record_header_bytes, length);
    if (!handshake.empty() && static_cast<std::uint8_t>(handshake[0]) != client_hello_type)
      return malformed();
    if (handshake.size() >= handshake_header_bytes) {
      Reader size(std::string_view(handshake).substr(1, 3));
      const std::size_t wanted = size.number(3);
      if (wanted > max_client_hello_bytes) return malformed();
      if (handshake.size() >= handshake_header_bytes + wanted)
        return read_hello(std::string_view(handshake).substr(handshake_header_bytes, wanted));
    }
    if (bytes.size() < record_header_bytes + length) break;
    bytes.remove_prefix(record_header_bytes + length);
  }
  return {};
}

std::string server_name_fault(const ClientHello& hello, std::string_view host) {
  if (hello.state != ClientHello::State::complete) return "the TLS hello is malformed";
  boost::system::error_code not_an_address;
  boost::asio::ip::make_address(host, not_an_address);
  if (!not_an_address) {
    if (!hello.server_name) return {};
    return "the TLS hello names a server, and the tunnel was asked for an address";
  }
  if (!hello.server_name) return "the TLS hello names no server";
  const auto name = canonical_host(*hello.server_name);
  if (!name) return "the TLS hello names an invalid server";
  if (*name == host) return {};
  return "the TLS hello names another server, " + *name;
}

}  // namespace flow_runner
