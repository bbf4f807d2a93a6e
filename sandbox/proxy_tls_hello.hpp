// The first bytes of a TLS connection: which server name the client asks for. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flow_runner {

/// The first byte of a TLS record that carries a handshake.
inline constexpr std::uint8_t tls_handshake_record = 0x16;

/// More bytes than any ClientHello has; one that is longer is malformed.
inline constexpr std::size_t max_client_hello_bytes = 64U << 10;

struct ClientHello {
  enum class State { incomplete, complete, malformed };
  State state = State::incomplete;
  std::optional<std::string> server_name;  ///< of `complete`: as written; absent: none was sent
};

/// Reads records (RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3) from the start of `bytes`,
/// which begin with tls_handshake_record. The hello may be spread over several records. Two
/// server_name extensions or two names are malformed.
ClientHello parse_client_hello(std::string_view bytes);

/// Why a hello may not pass on a tunnel to `host` (canonical); empty: it may. A named host must be
/// asked for by its name, an address by none.
std::string server_name_fault(const ClientHello& hello, std::string_view host);

}  // namespace flow_runner
