#include <optional>
#include <utility>
#include <variant>

#include "sandbox/proxy_exchange.hpp"
#include "sandbox/proxy_http.hpp"
#include "sandbox/proxy_server.hpp"
#include "sandbox/proxy_stream.hpp"
#include "sandbox/proxy_tunnel.hpp"

namespace flow_runner {
namespace {

class Client {
 public:
  Client(const ProxyContext& context, asio::ip::tcp::socket socket, Deadline& deadline)
      : context_(context), stream_(std::move(socket), deadline) {}

  asio::awaitable<void> run() {
    bool go_on = true;
    while (go_on) {
      const std::size_t header = co_await read_header();
      if (header == 0) break;
      const auto parsed = parse_request(stream_.buffered().substr(0, header));
      stream_.consume(header);
      if (const auto* bad = std::get_if<BadRequest>(&parsed)) {
        co_await refuse(*bad);
        break;
      }
      const auto& request = std::get<HttpRequest>(parsed);
      if (request.is_connect()) {
        kept_.stream.reset();
        go_on = co_await serve_tunnel(context_, stream_, request);
      } else {
        go_on = co_await serve_exchange(context_, stream_, request, kept_);
      }
    }
    stream_.close();
  }

 private:
  [[nodiscard]] const ProxyLimits& limits() const { return context_.settings.limits; }

  /// Empty lines before a request are passed over (RFC 9112, section 2.2).
  void skip_empty_lines() {
    while (stream_.buffered().starts_with("\r\n")) stream_.consume(2);
  }

  /// Bytes of the buffered header; 0: there will be none, and the client was told why.
  asio::awaitable<std::size_t> read_header() {
    Deadline& deadline = stream_.deadline();
    skip_empty_lines();
    bool begun = !stream_.buffered().empty();
    deadline.set(begun ? limits().header_time : limits().idle_time);
    std::size_t end = 0;
    while ((end = header_end(stream_.buffered())) == 0) {
      const auto read = co_await stream_.fill(limits().header_bytes);
      if (!read) {
        if (begun && read.error().code == ErrorCode::timed_out)
          co_await answer(408, "the request's header did not come in time");
        if (read.error().code == ErrorCode::invalid_input)
          co_await answer(431, "the request's header is longer than " +
                                   std::to_string(limits().header_bytes) + " bytes");
        co_return 0;
      }
      if (*read == 0) co_return 0;
      skip_empty_lines();
      if (!begun && !stream_.buffered().empty()) {
        begun = true;
        deadline.set(limits().header_time);
      }
    }
    co_return end;
  }

  asio::awaitable<void> answer(int status, std::string text) {
    stream_.deadline().set(limits().header_time);
    const auto response = text_response(status, "flow-runner: " + text + "\n", Persistence::close);
    if (co_await stream_.write(response)) co_await stream_.linger();
  }

  asio::awaitable<void> refuse(const BadRequest& bad) {
    if (bad.policy) {
      NetworkEvent event;
      event.kind = NetworkEvent::Kind::denied;
      event.method = bad.method;
      event.host = bad.host;
      event.reason = bad.reason;
      event.status = 400;
      context_.events.push(event);
    }
    co_await answer(400, bad.reason);
  }

  const ProxyContext& context_;
  Stream stream_;
  KeptServer kept_;
};

}  // namespace

asio::awaitable<void> serve_client(const ProxyContext& context, asio::ip::tcp::socket socket,
                                   Deadline& deadline) {
  Client client(context, std::move(socket), deadline);
  co_await client.run();
}

}  // namespace flow_runner
