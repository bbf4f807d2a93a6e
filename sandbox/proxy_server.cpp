#include "sandbox/proxy_server.hpp"

#include <array>
#include <list>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "sandbox/client_hello.hpp"
#include "sandbox/proxy_request.hpp"
#include "sandbox/proxy_tunnel.hpp"

namespace flow_runner {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using beast::error_code;
using std::chrono::steady_clock;
using RequestParser = http::request_parser<http::buffer_body>;
using ResponseParser = http::response_parser<http::buffer_body>;

constexpr std::size_t relay_bytes = 64 << 10;
constexpr std::size_t max_hello_bytes = 64 << 10;

RequestHead head_of(const http::request<http::buffer_body>& request) {
  RequestHead head;
  head.connect = request.method() == http::verb::connect;
  head.target = {request.target().data(), request.target().size()};
  head.version = static_cast<int>(request.version());
  for (const auto& field : request)
    head.fields.emplace_back(
        std::string_view(field.name_string().data(), field.name_string().size()),
        std::string_view(field.value().data(), field.value().size()));
  return head;
}

/// Removes what speaks of one connection only (RFC 9110, 7.6.1).
void remove_hop_by_hop(http::fields& fields) {
  std::vector<std::string> named;
  for (const auto& name : http::token_list(fields[http::field::connection]))
    named.emplace_back(name);
  for (const auto& name : named) {
    // These frame the message: a peer that wants them gone wants to confuse the next reader.
    if (!same_word(name, "content-length") && !same_word(name, "transfer-encoding") &&
        !same_word(name, "host"))
      fields.erase(name);
  }
  for (const auto field :
       {http::field::connection, http::field::keep_alive, http::field::proxy_connection,
        http::field::proxy_authorization, http::field::proxy_authenticate, http::field::te,
        http::field::trailer, http::field::upgrade, http::field::expect})
    fields.erase(field);
}

auto with(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

/// Sends on one message from `parser`, header and body, piece by piece. The error is that of the
/// side that failed.
template <bool is_request>
asio::awaitable<error_code> relay_message(beast::tcp_stream& from, beast::tcp_stream& to,
                                          beast::flat_buffer& buffer,
                                          http::parser<is_request, http::buffer_body>& parser,
                                          std::chrono::seconds idle, std::uint64_t& count) {
  http::serializer<is_request, http::buffer_body> serializer(parser.get());
  std::array<char, relay_bytes> piece;
  error_code error;
  to.expires_after(idle);
  count += co_await http::async_write_header(to, serializer, with(error));
  while (!error && !(parser.is_done() && serializer.is_done())) {
    auto& body = parser.get().body();
    body.data = nullptr;
    body.size = 0;
    if (!parser.is_done()) {
      body.data = piece.data();
      body.size = piece.size();
      from.expires_after(idle);
      co_await http::async_read(from, buffer, parser, with(error));
      if (error == http::error::need_buffer) error = {};
      if (error) break;
      body.size = piece.size() - body.size;
      body.data = piece.data();
    }
    body.more = !parser.is_done();
    to.expires_after(idle);
    count += co_await http::async_write(to, serializer, with(error));
    if (error == http::error::need_buffer) error = {};
  }
  co_return error;
}

}  // namespace

struct ProxyServer::State {
  tcp::acceptor listener;
  ProxyConfig config;
  std::function<void(const NetworkEvent&)> on_event;
  std::list<tcp::socket*> open;  ///< every socket of every connection, for stop()
  std::uint32_t connections = 0;
  asio::steady_timer ended;
  bool stopping = false;
};

namespace {

/// Puts a socket on the list while it lives.
class Listed {
 public:
  Listed(std::list<tcp::socket*>& list, tcp::socket& socket)
      : list_(list), place_(list.insert(list.end(), &socket)) {}
  ~Listed() { list_.erase(place_); }
  Listed(Listed&&) = delete;
  Listed& operator=(Listed&&) = delete;

 private:
  std::list<tcp::socket*>& list_;
  std::list<tcp::socket*>::iterator place_;
};

/// One connection of the job, from its first request to its end.
class Session {
 public:
  Session(ProxyServer::State& state, tcp::socket client)
      : state_(state),
        client_(std::move(client)),
        server_(client_.get_executor()),
        client_listed_(state.open, client_.socket()),
        server_listed_(state.open, server_.socket()) {}

  asio::awaitable<void> run() {
    if (state_.connections > limits().connections) {
      NetworkEvent event;
      co_await refuse(
          event, NetworkEvent::Kind::failed, 503,
          "the job has more than " + std::to_string(limits().connections) + " connections open");
      co_return;
    }
    while (!state_.stopping && co_await serve_one()) {
    }
    close();
  }

 private:
  const ProxyLimits& limits() const { return state_.config.limits; }

  void close() {
    error_code ignored;
    client_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    client_.socket().close(ignored);
    server_.socket().close(ignored);
  }

  asio::awaitable<bool> serve_one() {
    RequestParser parser;
    parser.header_limit(limits().header_bytes);
    parser.body_limit(boost::none);
    error_code error;
    client_.expires_after(limits().header_time);
    co_await http::async_read_header(client_, buffer_, parser, with(error));
    if (error == http::error::end_of_stream || error == beast::error::timeout || state_.stopping)
      co_return false;
    started_ = steady_clock::now();
    NetworkEvent event;
    if (error) {
      if (error.category() == http::make_error_code(http::error::bad_field).category())
        co_await refuse(event, NetworkEvent::Kind::denied, 400, "the request is no proper HTTP");
      co_return false;
    }
    event.method = std::string(parser.get().method_string());
    const auto target = read_proxy_target(head_of(parser.get()));
    if (!target) {
      event.host = std::string(parser.get().target());
      co_await refuse(event, NetworkEvent::Kind::denied, 400, target.error().message);
      co_return false;
    }
    event.host = target->host;
    event.port = target->port;
    const NetworkVerdict verdict = decide(state_.config.policy, target->host, target->port);
    if (!verdict.allowed) {
      event.cure = verdict.cure;
      co_await refuse(event, NetworkEvent::Kind::denied, 403, verdict.reason);
      co_return false;
    }
    if (!co_await connect(*target, *verdict.rule, event)) co_return false;
    if (target->tunnel) {
      co_await tunnel(*target, event);
      co_return false;
    }
    co_return co_await forward(*target, parser, event);
  }

  /// Connects to an address that the policy lets the host's name lead to, and to no other.
  asio::awaitable<bool> connect(const ProxyTarget& target, const NetworkRule& by,
                                NetworkEvent& event) {
    const std::string key = target.host + " " + std::to_string(target.port);
    if (!target.tunnel && key == server_key_ && still_open()) {
      event.address = server_address_;
      co_return true;
    }
    error_code error;
    server_.socket().close(error);
    server_key_.clear();
    tcp::resolver resolver(client_.get_executor());
    asio::steady_timer late(client_.get_executor(), limits().connect_time);
    bool timed_out = false;
    late.async_wait([&](error_code cancelled) {
      if (cancelled) return;
      timed_out = true;
      resolver.cancel();
    });
    const auto found = co_await resolver.async_resolve(target.host, std::to_string(target.port),
                                                       tcp::resolver::numeric_service, with(error));
    late.cancel();
    if (error) {
      co_await refuse(event, NetworkEvent::Kind::failed, timed_out ? 504 : 502,
                      "the name " + target.host + " could not be resolved");
      co_return false;
    }
    std::optional<NetworkVerdict> denied;
    error = asio::error::host_not_found;
    for (const auto& entry : found) {
      const auto endpoint = entry.endpoint();
      auto verdict = decide_address(state_.config.policy, by, endpoint.address(), target.port);
      if (!verdict.allowed) {
        denied = std::move(verdict);
        continue;
      }
      server_.expires_after(limits().connect_time);
      co_await server_.async_connect(endpoint, with(error));
      if (error) continue;
      server_.expires_never();
      server_.socket().set_option(tcp::no_delay(true), error);
      server_key_ = key;
      server_address_ = event.address = endpoint.address().to_string();
      co_return true;
    }
    if (denied) {
      event.cure = denied->cure;
      co_await refuse(event, NetworkEvent::Kind::denied, 403, denied->reason);
    } else {
      const bool late_connect = error == beast::error::timeout;
      co_await refuse(event, NetworkEvent::Kind::failed, late_connect ? 504 : 502,
                      target.host + " could not be reached: " + error.message());
    }
    co_return false;
  }

  [[nodiscard]] bool still_open() {
    char byte = 0;
    if (!server_.socket().is_open()) return false;
    const auto seen = ::recv(server_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return seen < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  asio::awaitable<void> tunnel(const ProxyTarget& target, NetworkEvent& event) {
    error_code error;
    client_.expires_after(limits().header_time);
    constexpr std::string_view established = "HTTP/1.1 200 Connection established\r\n\r\n";
    co_await asio::async_write(client_, asio::buffer(established), with(error));
    event.status = 200;
    TunnelCounts counts;
    std::string first(static_cast<const char*>(buffer_.data().data()), buffer_.size());
    buffer_.clear();
    std::string refusal;
    if (!error) refusal = co_await first_bytes(target, first, counts.down);
    if (!refusal.empty()) {
      event.kind = NetworkEvent::Kind::denied;
      event.reason = refusal;
      event.status = 0;
    } else {
      event.kind = NetworkEvent::Kind::finished;
      client_.expires_never();
      server_.expires_after(limits().idle_time);
      co_await asio::async_write(server_, asio::buffer(first), with(error));
      server_.expires_never();
      counts.up = first.size();
      if (!error)
        co_await run_tunnel(client_.socket(), server_.socket(), limits().idle_time, counts);
    }
    report(event, counts.up, counts.down);
  }

  /// Collects the client's first bytes until they show whether they are TLS and for whom; what the
  /// server says meanwhile is passed on. Returns why the tunnel must not be.
  asio::awaitable<std::string> first_bytes(const ProxyTarget& target, std::string& first,
                                           std::uint64_t& down) {
    using namespace asio::experimental::awaitable_operators;
    std::array<char, 4096> from_client;
    std::array<char, 4096> from_server;
    client_.expires_never();
    asio::steady_timer late(client_.get_executor(), limits().idle_time);
    while (true) {
      const ClientHello hello = read_client_hello(first);
      if (hello.state == HelloState::not_tls) co_return std::string();
      if (hello.state == HelloState::broken || first.size() > max_hello_bytes)
        co_return "the TLS hello is broken";
      if (hello.state == HelloState::complete) co_return check_name(target, hello);
      if (!first.empty()) late.expires_after(limits().header_time);
      error_code client_error;
      error_code server_error;
      error_code timer_error;
      auto which = co_await (
          client_.socket().async_read_some(asio::buffer(from_client), with(client_error)) ||
          server_.socket().async_read_some(asio::buffer(from_server), with(server_error)) ||
          late.async_wait(with(timer_error)));
      if (which.index() == 2) co_return "no first byte, or no whole TLS hello, came in time";
      if (which.index() == 0) {
        // Nothing came and nothing will: the server's side goes on as a plain tunnel.
        if (client_error) co_return std::string(first.empty() ? "" : "the TLS hello was cut off");
        first.append(from_client.data(), std::get<0>(which));
        continue;
      }
      if (server_error) co_return std::string();
      const std::size_t count = std::get<1>(which);
      error_code error;
      co_await asio::async_write(client_.socket(), asio::buffer(from_server.data(), count),
                                 with(error));
      if (error) co_return std::string();
      down += count;
    }
  }

  static std::string check_name(const ProxyTarget& target, const ClientHello& hello) {
    error_code no_address;
    asio::ip::make_address(target.host, no_address);
    if (!no_address)
      return hello.server_name ? "TLS names a server, and an address was asked for" : "";
    if (!hello.server_name) return "TLS names no server, and " + target.host + " was asked for";
    const auto name = canonical_host(*hello.server_name);
    if (name && *name == target.host) return "";
    return "TLS names the server " + *hello.server_name + ", and " + target.host + " was asked for";
  }

  /// One request and its answer; true when the connection can take another.
  asio::awaitable<bool> forward(const ProxyTarget& target, RequestParser& request,
                                NetworkEvent& event) {
    error_code error;
    const bool client_waits = beast::iequals(request.get()[http::field::expect], "100-continue");
    const bool keep_client = request.get().keep_alive();
    const bool head = request.get().method() == http::verb::head;
    remove_hop_by_hop(request.get());
    request.get().target(target.path);
    request.get().version(11);
    const std::string host =
        target.host.find(':') == std::string::npos ? target.host : "[" + target.host + "]";
    request.get().set(http::field::host,
                      target.port == 80 ? host : host + ":" + std::to_string(target.port));
    if (client_waits) {
      constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await asio::async_write(client_, asio::buffer(go_on), with(error));
    }
    std::uint64_t up = 0;
    std::uint64_t down = 0;
    if (!error)
      error =
          co_await relay_message<true>(client_, server_, buffer_, request, limits().idle_time, up);
    if (error) {
      co_await refuse(event, NetworkEvent::Kind::failed, 502, "the request could not be passed on");
      co_return false;
    }
    std::optional<ResponseParser> response;
    do {
      response.emplace();
      response->header_limit(limits().header_bytes);
      response->body_limit(boost::none);
      if (head) response->skip(true);
      server_.expires_after(limits().idle_time);
      co_await http::async_read_header(server_, server_buffer_, *response, with(error));
    } while (!error && response->get().result_int() / 100 == 1);
    if (error) {
      const bool late = error == beast::error::timeout;
      co_await refuse(event, NetworkEvent::Kind::failed, late ? 504 : 502,
                      target.host + " gave no proper answer: " + error.message());
      co_return false;
    }
    event.status = response->get().result_int();
    const bool framed = head || !response->need_eof();
    const bool keep_server = framed && response->get().keep_alive();
    remove_hop_by_hop(response->get());
    response->get().version(11);
    const bool keep = keep_client && framed;
    response->get().keep_alive(keep);
    error = co_await relay_message<false>(server_, client_, server_buffer_, *response,
                                          limits().idle_time, down);
    event.kind = error ? NetworkEvent::Kind::failed : NetworkEvent::Kind::finished;
    if (error) event.reason = "the answer was cut off: " + error.message();
    report(event, up, down);
    client_.expires_never();
    server_.expires_never();
    if (error || !keep_server) {
      error_code ignored;
      server_.socket().close(ignored);
      server_key_.clear();
      server_buffer_.clear();
    }
    co_return keep && !error;
  }

  asio::awaitable<void> refuse(NetworkEvent& event, NetworkEvent::Kind kind, int status,
                               std::string reason) {
    http::response<http::string_body> answer(static_cast<http::status>(status), 11);
    answer.set(http::field::content_type, "text/plain");
    answer.keep_alive(false);
    answer.body() = "flow-runner: " + reason + "\n";
    if (!event.cure.empty())
      answer.body() += "The runner's setting network.allow, or --network-allow " + event.cure +
                       ", would allow it.\n";
    answer.prepare_payload();
    error_code error;
    client_.expires_after(limits().header_time);
    co_await http::async_write(client_, answer, with(error));
    event.kind = kind;
    event.status = status;
    event.reason = std::move(reason);
    report(event, 0, 0);
    close();
  }

  void report(NetworkEvent& event, std::uint64_t up, std::uint64_t down) {
    event.bytes_up = up;
    event.bytes_down = down;
    event.duration =
        std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - started_);
    state_.on_event(event);
  }

  ProxyServer::State& state_;
  beast::tcp_stream client_;
  beast::tcp_stream server_;
  Listed client_listed_;
  Listed server_listed_;
  beast::flat_buffer buffer_;
  beast::flat_buffer server_buffer_;
  std::string server_key_;
  std::string server_address_;
  steady_clock::time_point started_ = steady_clock::now();
};

asio::awaitable<void> serve_connection(ProxyServer::State& state, tcp::socket client) {
  Session session(state, std::move(client));
  co_await session.run();
}

}  // namespace

ProxyServer::ProxyServer(tcp::acceptor listener, ProxyConfig config,
                         std::function<void(const NetworkEvent&)> on_event)
    : state_(new State{std::move(listener),
                       std::move(config),
                       std::move(on_event),
                       {},
                       0,
                       asio::steady_timer(listener.get_executor()),
                       false}) {}

ProxyServer::~ProxyServer() = default;

void ProxyServer::stop() {
  state_->stopping = true;
  error_code ignored;
  state_->listener.close(ignored);
  for (tcp::socket* socket : state_->open) socket->close(ignored);
  state_->ended.cancel();
}

asio::awaitable<void> ProxyServer::run() {
  const auto executor = co_await asio::this_coro::executor;
  while (!state_->stopping) {
    error_code error;
    tcp::socket client(executor);
    co_await state_->listener.async_accept(client, with(error));
    if (state_->stopping) break;
    if (error) {
      // Out of descriptors: the backlog waits until a connection ends.
      asio::steady_timer pause(executor, std::chrono::milliseconds(50));
      co_await pause.async_wait(with(error));
      continue;
    }
    client.set_option(tcp::no_delay(true), error);
    ++state_->connections;
    asio::co_spawn(executor, serve_connection(*state_, std::move(client)),
                   [state = state_.get()](const std::exception_ptr&) {
                     --state->connections;
                     if (state->stopping) state->ended.cancel();
                   });
  }
  while (state_->connections > 0) {
    error_code ignored;
    state_->ended.expires_after(std::chrono::seconds(1));
    co_await state_->ended.async_wait(with(ignored));
    for (tcp::socket* socket : state_->open) socket->close(ignored);
  }
}

}  // namespace flow_runner
