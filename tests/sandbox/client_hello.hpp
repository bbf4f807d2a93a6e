// client_hello: TLS hellos made by hand.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flow_runner::test {

inline std::string number(std::size_t value, int bytes) {
  std::string out;
  while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes) & 0xff);
  return out;
}

inline std::string block(std::string_view content, int length_bytes) {
  return number(content.size(), length_bytes) + std::string(content);
}

inline std::string server_name_extension(std::string_view name) {
  return number(0, 2) + block(block(number(0, 1) + block(name, 2), 2), 2);
}

/// The handshake message; `extensions` as they are.
inline std::string hello_message(std::string_view extensions) {
  const std::string body = number(0x0303, 2) + std::string(32, 'r') + block("", 1) +
                           block(number(0x1301, 2), 2) + block(number(0, 1), 1) +
                           block(extensions, 2);
  return number(1, 1) + block(body, 3);
}

inline std::string record(std::string_view content) {
  return number(0x16, 1) + number(0x0301, 2) + block(content, 2);
}

/// One record with a hello that asks for `name`, or for none.
inline std::string client_hello(std::optional<std::string_view> name) {
  const std::string versions = number(43, 2) + block(block(number(0x0304, 2), 1), 2);
  return record(hello_message((name ? server_name_extension(*name) : std::string()) + versions));
}

}  // namespace flow_runner::test
