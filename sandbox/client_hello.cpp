#include "sandbox/client_hello.hpp"

#include <algorithm>
#include <cstdint>

namespace flow_runner {
namespace {

constexpr std::size_t max_hello_bytes = 64 << 10;
constexpr unsigned handshake_record = 22;
constexpr unsigned client_hello = 1;
constexpr unsigned server_name_extension = 0;

/// Takes big-endian numbers and their blocks off the front; after a short read nothing is good.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::size_t number(int bytes) {
    std::size_t value = 0;
    const std::string_view digits = take(static_cast<std::size_t>(bytes));
    for (const char c : digits) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view take(std::size_t bytes) {
    if (bytes > rest_.size()) good_ = false;
    if (!good_) return {};
    const auto taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  std::string_view block(int length_bytes) { return take(number(length_bytes)); }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

bool read_names(std::string_view extension, ClientHello& hello) {
  Reader list(extension);
  Reader names(list.block(2));
  while (list.good() && names.good() && !names.empty()) {
    const bool host = names.number(1) == 0;
    const auto name = names.block(2);
    if (!host) continue;
    if (hello.server_name) return false;
    hello.server_name = std::string(name);
  }
  return list.good() && list.empty() && names.good();
}

bool read_body(std::string_view body, ClientHello& hello) {
  Reader reader(body);
  reader.take(2 + 32);  // version, random
  reader.block(1);      // session id
  reader.block(2);      // cipher suites
  reader.block(1);      // compression
  if (!reader.good()) return false;
  if (reader.empty()) return true;
  Reader extensions(reader.block(2));
  while (reader.good() && extensions.good() && !extensions.empty()) {
    const auto type = extensions.number(2);
    const auto content = extensions.block(2);
    if (extensions.good() && type == server_name_extension && !read_names(content, hello))
      return false;
  }
  return reader.good() && extensions.good();
}

}  // namespace

ClientHello read_client_hello(std::string_view bytes) {
  const ClientHello broken{HelloState::broken, {}};
  ClientHello hello;
  if (bytes.empty()) return hello;
  if (static_cast<unsigned char>(bytes[0]) != handshake_record) {
    hello.state = HelloState::not_tls;
    return hello;
  }
  std::string handshake;
  while (!bytes.empty()) {
    if (static_cast<unsigned char>(bytes[0]) != handshake_record) return broken;
    if (bytes.size() > 1 && bytes[1] != 3) return broken;
    if (bytes.size() < 5) break;
    const std::size_t length =
        static_cast<unsigned char>(bytes[3]) << 8 | static_cast<unsigned char>(bytes[4]);
    if (length == 0) return broken;
    bytes.remove_prefix(5);
    handshake += bytes.substr(0, length);
    const std::size_t here = std::min(length, bytes.size());
    bytes.remove_prefix(here);
    if (handshake.size() >= 4) {
      Reader header(handshake);
      const bool is_hello = header.number(1) == client_hello;
      const std::size_t size = header.number(3);
      if (!is_hello || size > max_hello_bytes) return broken;
      if (handshake.size() >= 4 + size) {
        hello.state = read_body(std::string_view(handshake).substr(4, size), hello)
                          ? HelloState::complete
                          : HelloState::broken;
        return hello;
      }
    }
    if (here < length) break;
  }
  return hello;
}

}  // namespace flow_runner
