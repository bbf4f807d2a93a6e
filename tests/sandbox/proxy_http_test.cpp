#include "sandbox/proxy_http.hpp"

#include <doctest/doctest.h>
#include <string>
#include <string_view>
#include <variant>

#include "sandbox/proxy_chunks.hpp"

using namespace flow_runner;

namespace {

HttpRequest good(std::string_view header) {
  const auto parsed = parse_request(header);
  const auto* bad = std::get_if<BadRequest>(&parsed);
  REQUIRE_MESSAGE(bad == nullptr, (bad ? bad->reason : ""));
  return std::get<HttpRequest>(parsed);
}

/// All content of a chunked body that comes in pieces of `step` bytes; "!" for a malformed one.
std::string decoded(std::string_view body, std::size_t step) {
  ChunkDecoder decoder;
  std::string out;
  for (std::size_t at = 0; at < body.size() && !decoder.done();) {
    auto piece = decoder.feed(body.substr(at, step));
    if (!piece) return out + "!";
    REQUIRE(piece->consumed > 0);
    out += piece->data;
    at += piece->consumed;
  }
  return decoder.done() ? out : out + "...";
}

}  // namespace

TEST_CASE("proxy request: a target is read, and what concerns one hop is left out") {
  const auto request = good(
      "POST http://Example.COM:8080?a=b HTTP/1.1\r\nHost: example.com:8080\r\n"
      "Connection: keep-alive, X-Private\r\nX-Private: 1\r\nProxy-Connection: x\r\n"
      "Keep-Alive: 5\r\nTE: trailers\r\nTrailer: y\r\nUpgrade: h2c\r\nHTTP2-Settings: z\r\n"
      "Proxy-Authorization: Basic eDp5\r\nExpect: 100-continue\r\nAccept:  */*  \r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  CHECK(request.host == "example.com");
  CHECK(request.port == 8080);
  CHECK(request.body.kind == HttpBody::Kind::chunked);
  CHECK(serialize(request, TargetForm::origin, "secret") ==
        "POST /?a=b HTTP/1.1\r\nHost: example.com:8080\r\nExpect: 100-continue\r\n"
        "Accept: */*\r\nTransfer-Encoding: chunked\r\nVia: 1.1 flow-runner\r\n\r\n");
  CHECK(serialize(request, TargetForm::absolute, "Basic abc")
            .starts_with("POST http://example.com:8080/?a=b HTTP/1.1\r\n"));
  CHECK(serialize(request, TargetForm::absolute, "Basic abc")
            .find("Proxy-Authorization: Basic abc\r\n") != std::string::npos);
}

TEST_CASE("proxy request: every good form of a target") {
  CHECK(good("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n").is_connect());
  CHECK(good("CONNECT example.com:443 HTTP/1.0\r\n\r\n").port == 443);
  CHECK(good("CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:DB8::1]:443\r\n\r\n").host ==
        "2001:db8::1");
  CHECK(good("GET HTTP://a/ HTTP/1.1\r\nHost: a\r\n\r\n").path == "/");
  CHECK(good("GET http://a HTTP/1.1\r\nhost:a:80\r\n\r\n").path == "/");
  CHECK(good("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").path == "*");
  CHECK(good("GET http://a./x HTTP/1.1\r\nHost: A\r\n\r\n").host == "a");
  CHECK_FALSE(good("GET http://a/ HTTP/1.0\r\n\r\n").keep_alive);
  CHECK(good("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
  CHECK_FALSE(good("GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n").keep_alive);
}

TEST_CASE("proxy request: what two readers may understand differently is refused") {
  const std::string line = "GET http://a/ HTTP/1.1\r\n";
  const std::string start = line + "Host: a\r\n";
  for (const std::string& header :
       {std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"),
        std::string("GET http://a/#x HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://a:/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://a:0/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://a:65536/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://0x7f.1/ HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n"),
        std::string("GET  http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://a/ b HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://a/ HTTP/2.0\r\nHost: a\r\n\r\n"),
        std::string("GET http://a/\r\nHost: a\r\n\r\n"),
        std::string("G(T http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"),
        std::string("CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        std::string("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
        line + "\r\n",
        line + "Host: b\r\n\r\n",
        line + "Host: a:81\r\n\r\n",
        start + "Host: a\r\n\r\n",
        start + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        start + "Content-Length: 1, 1\r\n\r\n",
        start + "Content-Length: +1\r\n\r\n",
        start + "Content-Length: 0x1\r\n\r\n",
        start + "Content-Length:\r\n\r\n",
        start + "Content-Length: 9999999999999999999\r\n\r\n",
        start + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        start + "Transfer-Encoding: gzip, chunked\r\n\r\n",
        start + "Transfer-Encoding: identity\r\n\r\n",
        start + "Transfer-Encoding: \x0b"
                "chunked\r\n\r\n",
        start + "X : 1\r\n\r\n",
        start + " X: 1\r\n\r\n",
        start + "X: 1\r\n y\r\n\r\n",
        start + "X: 1\n\r\n",
        start + "X: a\rb\r\n\r\n",
        start + "X: a\nContent-Length: 1\r\n\r\n",
        start + std::string("X: a\0b\r\n\r\n", 11),
        start + ": 1\r\n\r\n",
        start + "X\r\n\r\n",
        std::string("GET http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("GET http://a/ HTTP/1.1\nHost: a\n\n"),
        std::string("\r\n"),
        std::string()}) {
    CAPTURE(header);
    CHECK(std::holds_alternative<BadRequest>(parse_request(header)));
  }
}

TEST_CASE("proxy request: a host that is hidden is a matter for the log") {
  for (const std::string_view header :
       {"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://0177.0.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    CAPTURE(header);
    const auto parsed = parse_request(header);
    const auto* bad = std::get_if<BadRequest>(&parsed);
    REQUIRE(bad != nullptr);
    CHECK(bad->policy);
    CHECK_FALSE(bad->host.empty());
  }
}

TEST_CASE("proxy header: its end is found, also by bare line feeds") {
  CHECK(header_end("a\r\nb\r\n\r\nrest") == 8);
  CHECK(header_end("a\r\nb\r\n\r") == 0);
  CHECK(header_end("a\n\nrest") == 3);
  CHECK(header_end("a\n\r\n") == 4);
  CHECK(header_end("") == 0);
}

TEST_CASE("proxy response: its body ends by method, status and fields") {
  struct Row {
    std::string_view header, method;
    HttpBody::Kind kind;
    bool keep;
  };
  using Kind = HttpBody::Kind;
  for (const Row& row :
       {Row{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", Kind::length, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", Kind::none, true},
        {"HTTP/1.1 200\r\n\r\n", "GET", Kind::until_close, true},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", "GET", Kind::chunked, true},
        {"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "GET", Kind::none, true},
        {"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", "GET", Kind::none, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", "POST", Kind::none, true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", Kind::length, false},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "GET", Kind::until_close, false}}) {
    CAPTURE(row.header);
    const auto response = parse_response(row.header, row.method);
    REQUIRE(response.has_value());
    CHECK(response->body.kind == row.kind);
    CHECK(response->keep_alive == row.keep);
  }
  const auto head = parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD");
  CHECK(serialize(*head, Persistence::keep, false).find("Content-Length: 5\r\n") !=
        std::string::npos);
  for (const std::string_view header :
       {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n"}) {
    CAPTURE(header);
    CHECK(parse_response(header, "GET").has_error());
  }
}

TEST_CASE("proxy chunks: content is the same however it comes, extensions and trailers go") {
  constexpr std::string_view body =
      "5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\nnext";
  for (std::size_t step = 1; step <= body.size(); ++step)
    CHECK(decoded(body, step) == "hello world");
  CHECK(decoded("00\r\n\r\n", 1).empty());
  CHECK(decoded("5\r\nhel", 9) == "hel...");
}

TEST_CASE("proxy chunks: what is no chunk is refused") {
  for (const std::string_view body :
       {"g\r\n", "\r\n", ";x\r\n", "5 \r\nhello\r\n0\r\n\r\n", "0x5\r\nhello", "-1\r\n", "5\nhello",
        "5\rhello", "5\r\nhelloX\r\n", "5\r\nhello\n0\r\n\r\n", "5;a\nb\r\nhello\r\n",
        "1000000000000000\r\n", "0\r\n\n", "0\r\nX: 1\n\r\n", "0\r\n\rX"}) {
    CAPTURE(body);
    CHECK(decoded(body, body.size()).ends_with("!"));
    CHECK(decoded(body, 1).ends_with("!"));
  }
  CHECK(decoded("1;" + std::string(20000, 'x') + "\r\na\r\n", 4096).ends_with("!"));
}
