// The proxy program between a job's socket and a real server on loopback.
#include "sandbox/network_proxy.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "tests/fixtures/program.hpp"

using namespace flow_runner;
using boost::asio::ip::tcp;

namespace {

constexpr auto loopback = "127.0.0.1";

/// Answers every connection's request header with a fixed text and closes.
class Server {
 public:
  explicit Server(std::string answer) : answer_(std::move(answer)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    boost::system::error_code ignored;
    tcp::socket last(loop_);
    stopping_ = true;
    last.connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
  }
  Server(Server&&) = delete;
  Server& operator=(Server&&) = delete;
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
  std::string last_request;  ///< read after the server's answer has come

 private:
  void serve() {
    while (true) {
      boost::system::error_code error;
      tcp::socket peer(loop_);
      acceptor_.accept(peer, error);
      if (error || stopping_) return;
      std::string request;
      boost::asio::read_until(peer, boost::asio::dynamic_buffer(request, 1 << 16), "\r\n\r\n",
                              error);
      last_request = request;
      boost::asio::write(peer, boost::asio::buffer(answer_), error);
      peer.shutdown(tcp::socket::shutdown_send, error);
    }
  }

  boost::asio::io_context loop_;
  tcp::acceptor acceptor_{loop_, tcp::endpoint(boost::asio::ip::make_address(loopback), 0)};
  std::string answer_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

NetworkRule rule(const std::string& text) {
  const auto parsed = parse_network_rule(text, "test");
  REQUIRE(parsed.has_value());
  return *parsed;
}

/// Runs the program; each ask() is one connection of the job.
class Proxy {
 public:
  explicit Proxy(const std::vector<std::string>& allow, ProxyLimits limits = {}) {
    ProxySpec spec;
    spec.program = fixtures::program("flow-runner-proxy");
    spec.listener_fd = listener_.native_handle();
    for (const auto& entry : allow) spec.policy.allow.push_back(rule(entry));
    spec.limits = limits;
    auto started =
        NetworkProxy::start(loop_.get_executor(), spec,
                            [this](const NetworkEvent& event) { events_.push_back(event); });
    REQUIRE(started.has_value());
    proxy_ = std::move(*started);
  }

  /// Sends bytes, reads to the end of the connection.
  std::string ask(const std::string& bytes) {
    boost::asio::io_context loop;
    tcp::socket socket(loop);
    socket.connect(listener_.local_endpoint());
    boost::system::error_code error;
    boost::asio::write(socket, boost::asio::buffer(bytes), error);
    std::string answer;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer, 1 << 20), error);
    return answer;
  }

  std::vector<NetworkEvent> stop() {
    Result<void> stopped;
    boost::asio::co_spawn(loop_, proxy_->stop(std::chrono::seconds(10)),
                          [&](const std::exception_ptr&, Result<void> value) { stopped = value; });
    loop_.run();
    CHECK_MESSAGE(stopped.has_value(), (stopped ? "" : stopped.error().message));
    return events_;
  }

 private:
  boost::asio::io_context loop_;
  tcp::acceptor listener_{loop_, tcp::endpoint(boost::asio::ip::make_address(loopback), 0)};
  std::vector<NetworkEvent> events_;
  std::unique_ptr<NetworkProxy> proxy_;
};

/// A TLS 1.2 hello that names `server`, or nobody.
std::string client_hello(const std::string& server) {
  const auto number = [](std::size_t value, int bytes) {
    std::string text;
    for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i) & 0xff);
    return text;
  };
  std::string extensions;
  if (!server.empty()) {
    const std::string name = number(0, 1) + number(server.size(), 2) + server;
    const std::string list = number(name.size(), 2) + name;
    extensions = number(0, 2) + number(list.size(), 2) + list;
  }
  const std::string body = number(0x0303, 2) + std::string(32, 'r') + number(0, 1) + number(2, 2) +
                           number(0x1301, 2) + number(1, 1) + number(0, 1) +
                           number(extensions.size(), 2) + extensions;
  const std::string handshake = number(1, 1) + number(body.size(), 3) + body;
  return number(22, 1) + number(0x0301, 2) + number(handshake.size(), 2) + handshake;
}

std::string connect_to(const std::string& target) {
  return "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n";
}

}  // namespace

TEST_CASE("proxy: an allowed address is fetched, with one connection's fields left out") {
  Server server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
  Proxy proxy({server.address()});
  const auto answer = proxy.ask(
      "GET http://" + server.address() + "/a?b HTTP/1.1\r\nHost: " + server.address() +
      "\r\nProxy-Authorization: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n");
  CHECK(answer.starts_with("HTTP/1.1 200"));
  CHECK(answer.ends_with("hello"));
  CHECK(server.last_request.starts_with("GET /a?b HTTP/1.1\r\n"));
  CHECK(server.last_request.find("X-End: 2") != std::string::npos);
  CHECK(server.last_request.find("X-Hop") == std::string::npos);
  CHECK(server.last_request.find("Proxy-") == std::string::npos);
  const auto events = proxy.stop();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == NetworkEvent::Kind::finished);
  CHECK(events[0].address == loopback);
}

TEST_CASE("proxy: what the policy does not name is refused, and told with its cure") {
  Proxy proxy({"example.com:443"});
  const auto answer =
      proxy.ask("GET http://other.example.com/ HTTP/1.1\r\nHost: other.example.com\r\n\r\n");
  CHECK(answer.starts_with("HTTP/1.1 403"));
  CHECK(answer.find("--network-allow other.example.com:80") != std::string::npos);
  CHECK(proxy.ask(connect_to("example.com:444")).starts_with("HTTP/1.1 403"));
  CHECK(proxy.ask(connect_to("127.0.0.1:22")).starts_with("HTTP/1.1 403"));
  CHECK(proxy.ask(connect_to("[::1]:443")).starts_with("HTTP/1.1 403"));
  const auto events = proxy.stop();
  REQUIRE(events.size() == 4);
  for (const auto& event : events) CHECK(event.kind == NetworkEvent::Kind::denied);
  CHECK(events[0].cure == "other.example.com:80");
}

TEST_CASE("proxy: a name that leads to a loopback address is refused unless the address is named") {
  Server server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  const std::string port = std::to_string(server.port());
  const std::string request =
      "GET http://localhost:" + port + "/ HTTP/1.1\r\nHost: localhost:" + port + "\r\n\r\n";
  Proxy closed({"localhost:" + port});
  const auto refused = closed.ask(request);
  CHECK(refused.starts_with("HTTP/1.1 403"));
  CHECK(refused.find("loopback") != std::string::npos);
  closed.stop();
  Proxy open({"localhost:" + port, "127.0.0.1:" + port});
  CHECK(open.ask(request).ends_with("ok"));
  open.stop();
}

TEST_CASE("proxy: requests that two readers could read differently are refused") {
  Proxy proxy({"*.example.com:*"});
  const std::string host = "Host: a.example.com\r\n";
  const std::string line = "POST http://a.example.com/ HTTP/1.1\r\n";
  for (const std::string& request :
       {line + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        line + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        line + host + "Transfer-Encoding: gzip, chunked\r\n\r\n",
        line + host + "Host: b.example.com\r\n\r\n", line + "Host: b.example.com\r\n\r\n",
        line + "\r\n", line + host + "Content-Length : 1\r\n\r\nx",
        std::string("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
        std::string("GET http://user:pw@a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
        std::string("GET http://a.example.com%2f/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
        std::string("GET http://0x7f.1/ HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n"),
        std::string("CONNECT a.example.com HTTP/1.1\r\nHost: a.example.com\r\n\r\n"),
        std::string("CONNECT a.example.com:99999 HTTP/1.1\r\nHost: a.example.com\r\n\r\n")})
    CHECK_MESSAGE(proxy.ask(request).starts_with("HTTP/1.1 400"), request);
  proxy.stop();
}

TEST_CASE("proxy: a tunnel passes bytes both ways, and TLS in it must name the host") {
  Server server("from the server");
  const std::string port = std::to_string(server.port());
  Proxy proxy({"localhost:" + port, "127.0.0.1:" + port});
  const std::string named = connect_to("localhost:" + port);
  SUBCASE("no TLS") {
    const auto answer = proxy.ask(named + "a question\r\n\r\n");
    CHECK(answer.ends_with("\r\n\r\nfrom the server"));
    CHECK(server.last_request == "a question\r\n\r\n");
    const auto events = proxy.stop();
    REQUIRE(events.size() == 1);
    CHECK(events[0].bytes_down == 15);
  }
  SUBCASE("the host that was asked for") {
    CHECK(proxy.ask(named + client_hello("LOCALHOST") + "\r\n\r\n").ends_with("from the server"));
    proxy.stop();
  }
  SUBCASE("another host, or none") {
    for (const char* other : {"evil.example.com", ""}) {
      const auto answer = proxy.ask(named + client_hello(other) + "\r\n\r\n");
      CHECK(answer.find("from the server") == std::string::npos);
    }
    CHECK(server.last_request.empty());
    const auto events = proxy.stop();
    REQUIRE(events.size() == 2);
    for (const auto& event : events) CHECK(event.kind == NetworkEvent::Kind::denied);
  }
  SUBCASE("an address, with a name in TLS") {
    const auto answer = proxy.ask(connect_to("127.0.0.1:" + port) + client_hello("localhost"));
    CHECK(answer.find("from the server") == std::string::npos);
    proxy.stop();
  }
}

TEST_CASE("proxy: a header that never ends is cut off") {
  Proxy proxy({}, {.header_time = std::chrono::seconds(1)});
  CHECK(proxy.ask("GET http://a.exam").empty());
  proxy.stop();
}
