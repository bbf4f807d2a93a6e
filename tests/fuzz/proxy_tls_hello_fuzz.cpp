// Fuzzes the reader of TLS hellos: what is complete stays so whatever follows, and no proper
// beginning of it is anything but incomplete.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sandbox/proxy_tls_hello.hpp"

using namespace flow_runner;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using State = ClientHello::State;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ClientHello hello = parse_client_hello(bytes);
  const ClientHello longer = parse_client_hello(std::string(bytes) + "\x16\x03\x01");
  const std::string fault = server_name_fault(hello, "example.com");
  if (hello.state != State::complete) {
    require(!hello.server_name && !fault.empty());
    if (hello.state == State::malformed) require(longer.state == State::malformed);
    return 0;
  }
  require(longer.state == State::complete && longer.server_name == hello.server_name);
  if (!hello.server_name) require(!fault.empty() && server_name_fault(hello, "192.0.2.1").empty());
  if (fault.empty()) require(hello.server_name->size() >= 11 && hello.server_name->size() <= 12);
  for (std::size_t cut = 0; cut < size; ++cut) {
    const ClientHello part = parse_client_hello(bytes.substr(0, cut));
    require(part.state == State::incomplete ||
            (part.state == State::complete && part.server_name == hello.server_name));
  }
  return 0;
}
