// Plain HTTP through the real proxy.
#include <doctest/doctest.h>
#include <string>

#include "tests/sandbox/proxy_fixture.hpp"

using namespace flow_runner;
using namespace flow_runner::test;
using Kind = NetworkEvent::Kind;

namespace {

std::string get(const std::string& authority, const std::string& path = "/",
                const std::string& fields = {}) {
  return "GET http://" + authority + path + " HTTP/1.1\r\nHost: " + authority + "\r\n" + fields +
         "\r\n";
}

std::string path_of(const std::string& header) {
  const std::size_t begin = header.find(' ') + 1;
  return header.substr(begin, header.find(' ', begin) - begin);
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("network proxy: requests share one connection on both sides") {
  const Server server(http([](const std::string& header) { return ok(path_of(header)); }));
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  for (const std::string path : {"/one", "/two?x=1", "/three"}) {
    client.send(get(server.authority(), path));
    CHECK(client.read_response().ends_with("\r\n\r\n" + path));
    const auto event = proxy.event();
    CHECK(event.kind == Kind::finished);
    CHECK(event.method == "GET");
    CHECK(event.host == "127.0.0.1");
    CHECK(event.port == server.port());
    CHECK(event.address == server.authority());
    CHECK(event.status == 200);
    CHECK(event.bytes_down == path.size());
  }
  CHECK(server.connections() == 1);
}

TEST_CASE("network proxy: pipelined requests are answered in order") {
  const Server server(http([](const std::string& header) { return ok(path_of(header)); }));
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send(get(server.authority(), "/1") + "\r\n" + get(server.authority(), "/2") +
              get("denied.test", "/3") + get(server.authority(), "/4"));
  CHECK(client.read_response().ends_with("\r\n\r\n/1"));
  CHECK(client.read_response().ends_with("\r\n\r\n/2"));
  CHECK(client.read_response().starts_with("HTTP/1.1 403 "));
  CHECK(client.read_response().ends_with("\r\n\r\n/4"));
}

TEST_CASE("network proxy: what is not allowed is said with its cure, and the client may go on") {
  const Server server(http([](const std::string&) { return ok("fine"); }));
  ProxyFixture proxy({.allow = {server.authority(), "localhost:1"}, .deny = {"evil.test:*"}});
  Peer client = proxy.connect();
  client.send(get("registry.test"));
  const std::string answer = client.read_response();
  CHECK(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"));
  CHECK(contains(answer, "text/plain"));
  CHECK(contains(answer, "registry.test:80"));
  CHECK(contains(answer, "network.allow"));
  CHECK(contains(answer, "--network-allow registry.test:80"));
  auto event = proxy.event();
  CHECK(event.kind == Kind::denied);
  CHECK(event.cure == "registry.test:80");
  CHECK(event.address.empty());

  client.send(get("evil.test"));
  CHECK_FALSE(contains(client.read_response(), "--network-allow"));
  CHECK(proxy.event().cure.empty());

  // An allowed name that leads to a loopback address.
  client.send(get("localhost:1"));
  CHECK(contains(client.read_response(), "--network-allow 127.0.0.1:1"));
  event = proxy.event();
  CHECK(event.kind == Kind::denied);
  CHECK(contains(event.reason, "loopback"));

  client.send("CONNECT registry.test:443 HTTP/1.1\r\nHost: registry.test:443\r\n\r\n");
  CHECK(client.read_response().starts_with("HTTP/1.1 403 "));
  CHECK(proxy.event().method == "CONNECT");

  client.send(get(server.authority()));
  CHECK(client.read_response().ends_with("fine"));
  CHECK(proxy.event().kind == Kind::finished);

  // A body that nobody takes ends the connection.
  client.send(
      "POST http://registry.test/ HTTP/1.1\r\nHost: registry.test\r\n"
      "Content-Length: 5\r\n\r\nhello");
  const std::string last = client.read_to_end();
  CHECK(last.starts_with("HTTP/1.1 403 "));
  CHECK(contains(last, "Connection: close\r\n"));
}

TEST_CASE("network proxy: an entry with any address may lead to loopback") {
  const Server server(http([](const std::string&) { return ok("fine"); }));
  const std::string authority = "localhost:" + std::to_string(server.port());
  ProxyFixture proxy({.allow = {}, .own = {authority}});
  Peer client = proxy.connect();
  client.send(get(authority));
  CHECK(client.read_response().ends_with("fine"));
  CHECK(proxy.event().host == "localhost");
}

TEST_CASE("network proxy: bodies pass both ways, counted or in chunks") {
  const Server server([](Peer peer) {
    while (true) {
      const std::string header = peer.read_until("\r\n\r\n");
      CHECK_FALSE(contains(header, "trailers"));
      if (contains(header, "Transfer-Encoding: chunked")) {
        const std::string body = peer.read_until("0\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.send(body);
      } else {
        const std::string body = peer.read_bytes(300000);
        peer.send(ok(body));
      }
    }
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  const std::string line =
      "POST http://" + server.authority() + "/ HTTP/1.1\r\nHost: " + server.authority() + "\r\n";
  const std::string content(300000, 'x');
  client.send(line + "Content-Length: 300000\r\n\r\n");
  client.send(content);
  CHECK(client.read_response().ends_with("\r\n\r\n" + content));
  auto event = proxy.event();
  CHECK(event.bytes_up == content.size());
  CHECK(event.bytes_down == content.size());

  client.send(line + "TE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n");
  client.send("6\r\n world\r\n0\r\nX: trailer\r\n\r\n");
  client.read_until("Transfer-Encoding: chunked\r\n");
  client.read_until("\r\n\r\n");
  std::string got;
  for (std::string size; (size = client.read_until("\r\n")) != "0\r\n";) {
    const std::string chunk = client.read_bytes(std::stoul(size, nullptr, 16) + 2);
    got += chunk.substr(0, chunk.size() - 2);
  }
  CHECK(got == "hello world");
  event = proxy.event();
  CHECK(event.bytes_up == 11);
  CHECK(event.bytes_down == 11);
}

TEST_CASE("network proxy: a body without length ends with the connection") {
  const Server server([](Peer peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\n" + std::string(100000, 'y'));
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send(get(server.authority()));
  const std::string answer = client.read_to_end();
  CHECK(contains(answer, "Connection: close\r\n"));
  CHECK(answer.ends_with("\r\n\r\n" + std::string(100000, 'y')));
}

TEST_CASE("network proxy: a client of HTTP/1.0 gets chunks as plain bytes") {
  const Server server([](Peer peer) {
    peer.read_until("\r\n\r\n");
    peer.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    peer.read_to_end();
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send("GET http://" + server.authority() + "/ HTTP/1.0\r\n\r\n");
  const std::string answer = client.read_to_end();
  CHECK(answer.ends_with("\r\n\r\nabc"));
  CHECK_FALSE(contains(answer, "chunked"));
}

TEST_CASE("network proxy: HEAD, 204 and 304 have no body") {
  const Server server(http([](const std::string& header) -> std::string {
    if (header.starts_with("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    if (path_of(header) == "/204") return "HTTP/1.1 204 No Content\r\n\r\n";
    return "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n";
  }));
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send("HEAD http://" + server.authority() + "/ HTTP/1.1\r\nHost: " + server.authority() +
              "\r\n\r\n" + get(server.authority(), "/204") + get(server.authority(), "/304"));
  CHECK(contains(client.read_until("\r\n\r\n"), "Content-Length: 1000\r\n"));
  CHECK(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 204 "));
  CHECK(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 304 "));
  CHECK(server.connections() == 1);
}

TEST_CASE("network proxy: 100-continue reaches the client before it sends its body") {
  const Server server([](Peer peer) {
    CHECK(contains(peer.read_until("\r\n\r\n"), "Expect: 100-continue\r\n"));
    peer.send("HTTP/1.1 100 Continue\r\n\r\n");
    peer.send(ok(peer.read_bytes(5)));
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send("PUT http://" + server.authority() + "/ HTTP/1.1\r\nHost: " + server.authority() +
              "\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  CHECK(client.read_response().ends_with("\r\n\r\nhello"));
  CHECK(proxy.event().status == 200);
}

TEST_CASE("network proxy: an answer that does not wait for the body reaches the client") {
  const Server server([](Peer peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!");
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send("POST http://" + server.authority() + "/ HTTP/1.1\r\nHost: " + server.authority() +
              "\r\nContent-Length: 1000000\r\n\r\nfirst bytes only");
  const std::string answer = client.read_to_end();
  CHECK(answer.starts_with("HTTP/1.1 413 "));
  CHECK(answer.ends_with("no!"));
  CHECK(contains(answer, "Connection: close\r\n"));
}

TEST_CASE("network proxy: fields of one hop stay there, Upgrade and credentials too") {
  const Server server(http([](const std::string& header) {
    return "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-End: 2\r\n"
           "Content-Length: " +
           std::to_string(header.size()) + "\r\n\r\n" + header;
  }));
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send(get(server.authority(), "/",
                  "Connection: Upgrade, X-Mine\r\nUpgrade: websocket\r\nX-Mine: 1\r\n"
                  "Proxy-Authorization: Basic c2VjcmV0\r\nX-Other: 3\r\n"));
  const std::string answer = client.read_response();
  CHECK(contains(answer, "X-End: 2\r\n"));
  CHECK(contains(answer, "X-Other: 3\r\n"));
  for (const auto* gone : {"X-Hop", "Keep-Alive", "Upgrade", "websocket", "X-Mine", "c2VjcmV0"})
    CHECK_FALSE(contains(answer, gone));
}

TEST_CASE("network proxy: a request that hides another one is refused and the connection closed") {
  const Server server(http([](const std::string&) { return ok("reached"); }));
  ProxyFixture proxy({.allow = {server.authority()}});
  const std::string start =
      "POST http://" + server.authority() + "/ HTTP/1.1\r\nHost: " + server.authority() + "\r\n";
  for (const std::string& request :
       {start + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        start + "Content-Length: 0\r\nContent-Length: 4\r\n\r\n", start + "X : y\r\n\r\n",
        start + "X: y\r\n z\r\n\r\n", start + "X: y\nZ: z\r\n\r\n", start + "X: y\n\n",
        start + "Host: other.test\r\n\r\n", std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("\x16\x03\x01\n\n")}) {
    CAPTURE(request);
    Peer client = proxy.connect();
    client.send(request + get(server.authority(), "/hidden"));
    const std::string answer = client.read_to_end();
    CHECK(answer.starts_with("HTTP/1.1 400 "));
    CHECK_FALSE(contains(answer, "reached"));
  }
  CHECK(server.connections() == 0);
  // Two Hosts: the one matter of policy among them.
  CHECK(proxy.event().status == 400);
  CHECK(proxy.pending() == 0);

  Peer client = proxy.connect();
  client.send(start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n");
  CHECK(client.read_to_end().starts_with("HTTP/1.1 400 "));
}

TEST_CASE("network proxy: a Host unlike the target is denied, and noted") {
  const Server server(http([](const std::string&) { return ok("reached"); }));
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send("GET http://" + server.authority() + "/ HTTP/1.1\r\nHost: evil.test\r\n\r\n");
  CHECK(client.read_to_end().starts_with("HTTP/1.1 400 "));
  const auto event = proxy.event();
  CHECK(event.kind == Kind::denied);
  CHECK(event.host == server.authority());
  CHECK(event.status == 400);
}

TEST_CASE("network proxy: a server that is not there is 502, one that answers nonsense too") {
  std::string nobody;
  {
    const Server gone([](Peer) {});
    nobody = gone.authority();
  }
  const Server nonsense([](Peer peer) {
    peer.read_until("\r\n\r\n");
    peer.send("hello, I speak SMTP\r\n\r\n");
    peer.read_to_end();
  });
  const Server silent([](Peer peer) { peer.read_until("\r\n\r\n"); });
  ProxyFixture proxy({.allow = {nobody, nonsense.authority(), silent.authority()}});
  Peer client = proxy.connect();
  for (const auto& target : {nobody, nonsense.authority(), silent.authority()}) {
    client.send(get(target));
    CHECK(client.read_response().starts_with("HTTP/1.1 502 "));
    const auto event = proxy.event();
    CHECK(event.kind == Kind::failed);
    CHECK(event.status == 502);
    CHECK_FALSE(event.reason.empty());
  }
}

TEST_CASE("network proxy: an answer that is cut off is cut off for the client too") {
  const Server server([](Peer peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send(get(server.authority()));
  CHECK(client.read_to_end().ends_with("\r\n\r\nhalf"));
  CHECK(contains(proxy.event().reason, "cut off"));
}

TEST_CASE("network proxy: a kept connection that its server closed is made anew") {
  const Server server([](Peer peer) {
    peer.read_until("\r\n\r\n");
    peer.send(ok("once"));
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  for (int i = 0; i < 20; ++i) {
    client.send(get(server.authority()));
    REQUIRE(client.read_response().ends_with("once"));
  }
  CHECK(server.connections() == 20);
}

TEST_CASE(
    "network proxy: a reader slower than its server gets everything, and the proxy holds little of "
    "it") {
  constexpr std::size_t total = 64U << 20;
  const Server server([](Peer peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
    const std::string piece(1U << 20, 'z');
    for (std::size_t sent = 0; sent < total; sent += piece.size()) peer.send(piece);
  });
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send(get(server.authority()));
  client.read_until("\r\n\r\n");
  const std::size_t before = proxy.resident_bytes();
  for (std::size_t got = 0; got < total; got += 4U << 20) client.read_bytes(4U << 20);
  CHECK(proxy.event().bytes_down == total);
  CHECK(proxy.resident_bytes() < before + (8U << 20));
}
