// Tunnels through the real proxy.
#include <doctest/doctest.h>
#include <string>

#include "tests/sandbox/client_hello.hpp"
#include "tests/sandbox/proxy_fixture.hpp"

using namespace flow_runner;
using namespace flow_runner::test;
using Kind = NetworkEvent::Kind;

namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string connect_to(const std::string& authority) {
  return "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n";
}

/// A tunnel that was granted.
Peer tunnel(const ProxyFixture& proxy, const std::string& authority) {
  Peer client = proxy.connect();
  client.send(connect_to(authority));
  CHECK(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
  return client;
}

void echo(Peer peer) { peer.send(peer.read_to_end()); }

std::string localhost(const Server& server) { return "localhost:" + std::to_string(server.port()); }

}  // namespace

TEST_CASE("network proxy: a tunnel carries bytes and half-closes both ways") {
  const Server server(echo);
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = tunnel(proxy, server.authority());
  const std::string sent = "not TLS at all";
  client.send(sent);
  client.shut_down_writing();
  CHECK(client.read_to_end() == sent);
  const auto event = proxy.event();
  CHECK(event.kind == Kind::finished);
  CHECK(event.method == "CONNECT");
  CHECK(event.status == 200);
  CHECK(event.bytes_up == sent.size());
  CHECK(event.bytes_down == sent.size());
  CHECK(event.address == server.authority());
}

TEST_CASE("network proxy: a server that ends first can still be written to") {
  std::promise<std::string> heard;
  const Server server([&](Peer peer) {
    peer.send("bye");
    peer.shut_down_writing();
    heard.set_value(peer.read_to_end());
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = tunnel(proxy, server.authority());
  CHECK(client.read_to_end() == "bye");
  client.send("still here");
  client.shut_down_writing();
  CHECK(heard.get_future().get() == "still here");
}

TEST_CASE("network proxy: bytes right behind CONNECT, and much of them, arrive once and in order") {
  const Server server(echo);
  ProxyFixture proxy({.allow = {server.authority()}});
  std::string sent;
  for (int i = 0; sent.size() < 8U << 20; ++i) sent += std::to_string(i) + ",";
  Peer client = proxy.connect();
  client.send(connect_to(server.authority()) + sent);
  client.shut_down_writing();
  client.read_until("\r\n\r\n");
  CHECK(client.read_to_end() == sent);
  const auto event = proxy.event();
  CHECK(event.bytes_up == sent.size());
  CHECK(event.bytes_down == sent.size());
}

TEST_CASE("network proxy: a server may speak first") {
  const Server server([](Peer peer) {
    peer.send("220 ready\r\n");
    CHECK(peer.read_until("\r\n") == "HELO\r\n");
    peer.send("250 ok\r\n");
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = tunnel(proxy, server.authority());
  CHECK(client.read_until("\r\n") == "220 ready\r\n");
  client.send("HELO\r\n");
  CHECK(client.read_until("\r\n") == "250 ok\r\n");
}

TEST_CASE("network proxy: a TLS hello passes when it names the tunnel's host") {
  const Server server(echo);
  ProxyFixture proxy({.allow = {server.authority()}, .own = {localhost(server)}});
  const std::string named = client_hello("LocalHost");
  Peer client = tunnel(proxy, localhost(server));
  client.send(named + "more");
  client.shut_down_writing();
  CHECK(client.read_to_end() == named + "more");
  CHECK(proxy.event().kind == Kind::finished);

  const std::string nameless = client_hello({});
  Peer by_address = tunnel(proxy, server.authority());
  by_address.send(nameless);
  by_address.shut_down_writing();
  CHECK(by_address.read_to_end() == nameless);
}

TEST_CASE("network proxy: a TLS hello in many pieces and records is read whole") {
  const Server server(echo);
  ProxyFixture proxy({.own = {localhost(server)}});
  const std::string message = hello_message(server_name_extension("localhost"));
  std::string hello;
  for (std::size_t at = 0; at < message.size(); at += 7) hello += record(message.substr(at, 7));
  Peer client = tunnel(proxy, localhost(server));
  for (const char c : hello) client.send(std::string(1, c));
  client.shut_down_writing();
  CHECK(client.read_to_end() == hello);
  CHECK(proxy.event().bytes_up == hello.size());
}

TEST_CASE("network proxy: a TLS hello to another host, to none, or no real one is stopped") {
  const Server server([&](Peer peer) { CHECK(peer.read_to_end().empty()); });
  ProxyFixture proxy({.allow = {server.authority()}, .own = {localhost(server)}});
  struct Row {
    std::string authority, hello;
    const char* reason;
  };
  const std::string half = client_hello("localhost");
  for (const Row& row : {Row{localhost(server), client_hello("evil.test"), "evil.test"},
                         {localhost(server), client_hello({}), "names no server"},
                         {localhost(server), record(number(2, 1) + block("x", 3)), "malformed"},
                         {localhost(server), half.substr(0, half.size() / 2), "cut off"},
                         {server.authority(), client_hello("localhost"), "address"}}) {
    CAPTURE(row.reason);
    Peer client = tunnel(proxy, row.authority);
    client.send(row.hello);
    client.shut_down_writing();
    CHECK(client.read_to_end().empty());
    const auto event = proxy.event();
    CHECK(event.kind == Kind::denied);
    CHECK(contains(event.reason, row.reason));
    CHECK(event.bytes_up == 0);
  }
}

TEST_CASE("network proxy: a TLS hello that does not end has a deadline, whatever the server says") {
  std::atomic<bool> over = false;
  const Server server([&](Peer peer) {
    while (!over && peer.try_send("tick")) {
    }
  });
  ProxyLimits limits;
  limits.header_time = std::chrono::seconds(1);
  ProxyFixture proxy({.own = {localhost(server)}, .limits = limits});
  Peer client = tunnel(proxy, localhost(server));
  client.send(client_hello("localhost").substr(0, 20));
  client.read_to_end();
  over = true;
  const auto event = proxy.event();
  CHECK(event.kind == Kind::denied);
  CHECK(contains(event.reason, "in time"));
}

TEST_CASE("network proxy: an idle tunnel ends") {
  const Server server([](Peer peer) { peer.send(peer.read_to_end()); });
  ProxyLimits limits;
  limits.idle_time = std::chrono::seconds(1);
  ProxyFixture proxy({.allow = {server.authority()}, .limits = limits});
  const auto start = std::chrono::steady_clock::now();
  Peer client = tunnel(proxy, server.authority());
  client.send("x");
  CHECK(client.read_to_end().empty());
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(900));
  const auto event = proxy.event();
  CHECK(event.kind == Kind::finished);
  CHECK(contains(event.reason, "too long"));
}

TEST_CASE("network proxy: behind the host's own proxy it asks that one, by name") {
  std::promise<std::string> tunnel_request;
  std::promise<std::string> plain_request;
  const Server upstream([&](Peer peer) {
    const std::string header = peer.read_until("\r\n\r\n");
    if (header.starts_with("CONNECT refused.test")) {
      peer.send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    } else if (header.starts_with("CONNECT")) {
      tunnel_request.set_value(header);
      peer.send("HTTP/1.1 200 OK\r\n\r\nfirst");
      peer.send(peer.read_to_end());
    } else {
      plain_request.set_value(header);
      peer.send(ok("from upstream"));
    }
  });
  const std::string url = "http://user:hunter2@" + upstream.authority();
  ProxyFixture proxy({.allow = {"registry.test:443", "refused.test:443", "registry.test:80"},
                      .upstream = {"https_proxy=" + url, "HTTP_PROXY=" + url}});
  Peer client = tunnel(proxy, "registry.test:443");
  client.send("second");
  client.shut_down_writing();
  CHECK(client.read_to_end() == "firstsecond");
  const std::string asked = tunnel_request.get_future().get();
  CHECK(asked.starts_with("CONNECT registry.test:443 HTTP/1.1\r\n"));
  CHECK(contains(asked, "Proxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n"));
  CHECK(proxy.event().address == "via " + upstream.authority());

  Peer plain = proxy.connect();
  plain.send("GET http://registry.test/x HTTP/1.1\r\nHost: registry.test\r\n\r\n");
  CHECK(plain.read_response().ends_with("from upstream"));
  const std::string got = plain_request.get_future().get();
  CHECK(got.starts_with("GET http://registry.test/x HTTP/1.1\r\n"));
  CHECK(contains(got, "Proxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n"));
  CHECK(proxy.event().kind == Kind::finished);

  Peer refused = proxy.connect();
  refused.send(connect_to("refused.test:443"));
  CHECK(refused.read_response().starts_with("HTTP/1.1 502 "));
  const auto event = proxy.event();
  CHECK(event.kind == Kind::failed);
  CHECK(contains(event.reason, "407"));
  CHECK_FALSE(contains(event.reason, "hunter2"));

  // The policy by name holds all the same.
  Peer other = proxy.connect();
  other.send(connect_to("other.test:443"));
  CHECK(other.read_response().starts_with("HTTP/1.1 403 "));
}
