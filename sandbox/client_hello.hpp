// ClientHello: the server name in the first bytes that a TLS client sends. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flow_runner {

enum class HelloState {
  need_more,  ///< TLS so far, and not all of the hello
  not_tls,    ///< the first byte is no handshake record's
  complete,
  broken,  ///< starts as TLS and is none, or is over 64 KiB
};

struct ClientHello {
  HelloState state = HelloState::need_more;
  std::optional<std::string> server_name;  ///< as sent; when complete
};

/// Looks at all bytes that came so far (RFC 8446, 4.1.2; RFC 6066, 3). The hello may lie in several
/// records. Two server names are broken.
ClientHello read_client_hello(std::string_view bytes);

}  // namespace flow_runner
