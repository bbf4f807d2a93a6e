#include "sandbox/proxy_tunnel.hpp"

#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "sandbox/proxy_relay.hpp"
#include "sandbox/proxy_tls_hello.hpp"

namespace flow_runner {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
}

/// Asks the host's own proxy for the tunnel.
asio::awaitable<Result<void>> ask_upstream(Stream& server, const UpstreamProxy& upstream,
                                           const NetworkEvent& event, std::size_t max_header) {
  const std::string target = authority(event.host, event.port);
  std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
  if (!upstream.authorization.empty())
    request += "Proxy-Authorization: " + upstream.authorization + "\r\n";
  request += "\r\n";
  FR_CO_CHECK(co_await server.write(request));
  std::size_t end = 0;
  while ((end = header_end(server.buffered())) == 0) {
    FR_CO_TRY(const std::size_t read, co_await server.fill(max_header));
    if (read == 0)
      co_return Error{ErrorCode::unavailable, "the host's own proxy closed the connection"};
  }
  FR_CO_TRY(const HttpResponse response,
            parse_response(server.buffered().substr(0, end), "CONNECT"));
  server.consume(end);
  if (response.status / 100 == 2) co_return Result<void>();
  co_return Error{ErrorCode::unavailable,
                  "the host's own proxy answered " + std::to_string(response.status)};
}

class Tunnel {
 public:
  Tunnel(const ProxyContext& context, Stream& client, Stream& server, NetworkEvent& event)
      : context_(context), client_(client), server_(server), event_(event) {}

  asio::awaitable<void> run() {
    using namespace asio::experimental::awaitable_operators;
    client_.deadline().set(idle_time());
    co_await (up() && down());
  }

 private:
  [[nodiscard]] std::chrono::milliseconds idle_time() const {
    return context_.settings.limits.idle_time;
  }

  void end(const Error& error) {
    // The first reason counts: what it tears down breaks the other direction too.
    if (event_.reason.empty() && error.code == ErrorCode::timed_out) event_.reason = error.message;
    client_.abort();
    server_.abort();
  }

  void deny(std::string reason) {
    event_.kind = NetworkEvent::Kind::denied;
    event_.reason = std::move(reason);
    client_.abort();
    server_.abort();
  }

  asio::awaitable<void> down() {
    auto result = co_await pass(server_, client_, event_.bytes_down);
    if (!result) end(result.error());
  }

  asio::awaitable<void> up() {
    auto first = co_await inspect();
    if (!first) {
      end(first.error());
      co_return;
    }
    if (!first->empty()) {
      deny(std::move(*first));
      co_return;
    }
    auto result = co_await pass(client_, server_, event_.bytes_up);
    if (!result) end(result.error());
  }

  asio::awaitable<Result<void>> pass(Stream& from, Stream& to, std::uint64_t& count) {
    if (const auto ahead = from.buffered(); !ahead.empty()) {
      FR_CO_CHECK(co_await to.write(ahead));
      count += ahead.size();
      from.consume(ahead.size());
    }
    co_return co_await relay(from, to, idle_time(), count);
  }

  /// Collects a TLS hello, if there is one; the text is the reason to deny it.
  asio::awaitable<Result<std::string>> inspect() {
    if (client_.buffered().empty()) {
      FR_CO_TRY(const std::size_t read, co_await client_.fill(max_hello));
      if (read == 0) co_return std::string();
    }
    if (static_cast<std::uint8_t>(client_.buffered()[0]) != tls_handshake_record)
      co_return std::string();
    // What the server says meanwhile moves the tunnel's deadline; the hello has one that stays.
    Deadline hello_deadline(client_.socket().get_executor());
    hello_deadline.set(context_.settings.limits.header_time);
    const Deadline::Watch watch(hello_deadline, [this] { client_.abort(); });
    ClientHello hello;
    while ((hello = parse_client_hello(client_.buffered())).state ==
           ClientHello::State::incomplete) {
      const auto read = co_await client_.fill(max_hello);
      if (hello_deadline.expired()) co_return std::string("the TLS hello did not come in time");
      if (!read && read.error().code == ErrorCode::invalid_input)
        co_return std::string("the TLS hello is too long");
      if (!read) co_return read.error();
      if (*read == 0) co_return std::string("the TLS hello was cut off");
    }
    co_return server_name_fault(hello, event_.host);
  }

  static constexpr std::size_t max_hello = max_client_hello_bytes + 1024;

  const ProxyContext& context_;
  Stream& client_;
  Stream& server_;
  NetworkEvent& event_;
};

}  // namespace

asio::awaitable<bool> serve_tunnel(const ProxyContext& context, Stream& client,
                                   const HttpRequest& request) {
  const auto start = Clock::now();
  NetworkEvent event;
  event.method = request.method;
  event.host = request.host;
  event.port = request.port;
  Deadline& deadline = client.deadline();
  auto connected = co_await connect(context, Route::tunnel, deadline, event);
  std::optional<Stream> server;
  if (connected.socket) {
    server.emplace(std::move(*connected.socket), deadline);
    if (connected.upstream) {
      const auto asked = co_await ask_upstream(*server, *connected.upstream, event,
                                               context.settings.limits.header_bytes);
      if (!asked) {
        event.kind = NetworkEvent::Kind::failed;
        event.status = asked.error().code == ErrorCode::timed_out ? 504 : 502;
        event.reason = asked.error().message;
        server.reset();
      }
    }
  }
  bool go_on = false;
  if (server) {
    event.kind = NetworkEvent::Kind::finished;
    event.status = 200;
    deadline.set(context.settings.limits.idle_time);
    if (co_await client.write("HTTP/1.1 200 Connection established\r\n\r\n")) {
      Tunnel tunnel(context, client, *server, event);
      co_await tunnel.run();
    }
  } else {
    deadline.set(context.settings.limits.header_time);
    const auto persistence = request.keep_alive ? Persistence::keep : Persistence::close;
    const auto answer = text_response(event.status, explanation(event), persistence);
    const auto answered = co_await client.write(answer);
    go_on = answered && request.keep_alive;
    if (answered && !request.keep_alive) co_await client.linger();
  }
  event.duration = since(start);
  context.events.push(event);
  co_return go_on;
}

}  // namespace flow_runner
