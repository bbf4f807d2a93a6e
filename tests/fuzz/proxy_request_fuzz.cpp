// Fuzzes what the proxy reads of HTTP: a header that is taken is written in a form that is taken
// again as the same request; chunks come out the same however they are split.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "config/network_policy.hpp"
#include "sandbox/proxy_chunks.hpp"
#include "sandbox/proxy_http.hpp"

using namespace flow_runner;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_header_text(std::string_view text) {
  // One header: no line break that is not CRLF, no empty line before the end.
  for (std::size_t i = 0; i < text.size(); ++i) {
    require(text[i] != '\0');
    if (text[i] == '\n') require(i > 0 && text[i - 1] == '\r');
    if (text[i] == '\r') require(i + 1 < text.size() && text[i + 1] == '\n');
  }
  require(header_end(text) == text.size());
}

void check_request(std::string_view header) {
  const auto parsed = parse_request(header);
  const auto* request = std::get_if<HttpRequest>(&parsed);
  if (request == nullptr) {
    require(!std::get<BadRequest>(parsed).reason.empty());
    return;
  }
  require(*canonical_host(request->host) == request->host && request->port != 0);
  if (request->is_connect()) return;
  const std::string origin = serialize(*request, TargetForm::origin, {});
  check_header_text(origin);
  const std::string absolute = serialize(*request, TargetForm::absolute, "Basic x");
  check_header_text(absolute);
  const auto again = parse_request(absolute);
  const auto* same = std::get_if<HttpRequest>(&again);
  require(same != nullptr && same->method == request->method && same->host == request->host &&
          same->port == request->port && same->path == request->path &&
          same->body.kind == request->body.kind && same->body.length == request->body.length);
}

void check_response(std::string_view header) {
  for (const std::string_view method : {"GET", "HEAD"}) {
    const auto response = parse_response(header, method);
    if (!response) continue;
    const std::string text = serialize(*response, Persistence::close, false);
    check_header_text(text);
    const auto again = parse_response(text, method);
    require(again && again->status == response->status && again->body.kind == response->body.kind);
  }
}

/// Absent: malformed.
std::optional<std::string> decoded(std::string_view body, std::size_t step, std::size_t& taken) {
  ChunkDecoder decoder;
  std::string out;
  for (taken = 0; taken < body.size() && !decoder.done();) {
    const auto piece = decoder.feed(body.substr(taken, step));
    if (!piece) return std::nullopt;
    require(piece->consumed > 0 && piece->data.size() <= piece->consumed);
    out += piece->data;
    taken += piece->consumed;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t end = header_end(bytes);
  require(end <= size);
  check_request(bytes.substr(0, end));
  check_response(bytes.substr(0, end));
  const std::string_view body = bytes.substr(end);
  std::size_t whole = 0;
  std::size_t single = 0;
  const auto at_once = decoded(body, body.size(), whole);
  const auto by_bytes = decoded(body, 1, single);
  require(at_once == by_bytes && (!at_once || whole == single));
  return 0;
}
