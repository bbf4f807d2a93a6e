// HTTP/1.1 headers as the proxy takes them: strict, because what two readers understand differently
// is a way round the policy. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

struct HttpField {
  std::string name;  ///< as it was written
  std::string value;
};

/// How a message body ends (RFC 9112, section 6.3).
struct HttpBody {
  enum class Kind { none, length, chunked, until_close };
  Kind kind = Kind::none;
  std::uint64_t length = 0;
};

/// A request that the proxy can serve: CONNECT, or a method on an http:// URL.
struct HttpRequest {
  std::string method;
  std::string host;  ///< canonical
  std::uint16_t port = 0;
  std::string path;  ///< with the query; empty for CONNECT
  bool http_1_0 = false;
  bool keep_alive = true;
  HttpBody body;
  std::vector<HttpField> fields;  ///< end to end only; no Host, no framing

  [[nodiscard]] bool is_connect() const { return method == "CONNECT"; }
};

/// Why a request is answered with 400.
struct BadRequest {
  std::string reason;    ///< one sentence
  bool policy = false;   ///< it tried to name a host in a way that hides it: worth an event
  std::string method{};  ///< as far as it could be read
  std::string host{};    ///< as it was written
};

/// `header` reaches to and includes the empty line. Bad: anything but CRLF, NUL and controls,
/// obs-fold, white space before a colon, both or several of Content-Length and Transfer-Encoding,
/// another form of target than CONNECT's or http://, userinfo, a Host that is absent (1.1), double
/// or not the target's.
std::variant<HttpRequest, BadRequest> parse_request(std::string_view header);

struct HttpResponse {
  int status = 0;
  std::string reason;
  bool http_1_0 = false;
  bool keep_alive = true;
  HttpBody body;
  std::vector<HttpField> fields;  ///< end to end only; no framing
};

/// The answer to a request with `method`; as strict. invalid_input: one sentence.
Result<HttpResponse> parse_response(std::string_view header, std::string_view method);

/// Bytes to the end of the first header in `data`, empty line included; 0: there is none yet. A
/// header that ends in bare line feeds is found too, for the parser to refuse.
std::size_t header_end(std::string_view data);

/// `host:port`, with brackets round an IPv6 address; without the port when it is 80 and may be left
/// out, as browsers do in Host.
std::string authority(std::string_view host, std::uint16_t port);
std::string host_field(std::string_view host, std::uint16_t port);

/// The request as it goes to the origin server, or (absolute) to the host's own proxy, which gets
/// `proxy_authorization` unless that is empty.
enum class TargetForm { origin, absolute };
std::string serialize(const HttpRequest& request, TargetForm form,
                      std::string_view proxy_authorization);

/// The response as the client gets it; interim ones (1xx) too. `close` says that the connection
/// ends with it; a 1.0 client gets no chunks.
enum class Persistence { keep, close };
std::string serialize(const HttpResponse& response, Persistence persistence, bool to_http_1_0);

/// An answer of the proxy's own, with a body of text.
std::string text_response(int status, std::string_view text, Persistence persistence);

}  // namespace flow_runner
