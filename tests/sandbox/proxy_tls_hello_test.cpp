#include "sandbox/proxy_tls_hello.hpp"

#include <doctest/doctest.h>
#include <string>

#include "tests/sandbox/client_hello.hpp"

using namespace flow_runner;
using State = ClientHello::State;

TEST_CASE("TLS hello: the server name is found, whole or in pieces") {
  const std::string bytes = test::client_hello("example.com");
  const auto hello = parse_client_hello(bytes);
  CHECK(hello.state == State::complete);
  CHECK(hello.server_name == "example.com");
  for (std::size_t size = 1; size < bytes.size(); ++size)
    CHECK(parse_client_hello(std::string_view(bytes).substr(0, size)).state == State::incomplete);
  CHECK(parse_client_hello(bytes + "what comes after").server_name == "example.com");
  CHECK_FALSE(parse_client_hello(test::client_hello({})).server_name.has_value());
}

TEST_CASE("TLS hello: it may be spread over many records") {
  const std::string message = test::hello_message(test::server_name_extension("example.com"));
  for (const std::size_t step : {1, 3, 50}) {
    std::string bytes;
    for (std::size_t at = 0; at < message.size(); at += step)
      bytes += test::record(message.substr(at, step));
    CHECK(parse_client_hello(bytes).server_name == "example.com");
  }
}

TEST_CASE("TLS hello: what is malformed is said to be") {
  const std::string name = test::server_name_extension("a.test");
  for (const std::string& bytes :
       {test::record(test::hello_message(name + test::server_name_extension("b.test"))),
        test::record(test::hello_message(name.substr(0, name.size() - 1))),
        test::record(test::hello_message(test::server_name_extension(""))),
        test::record(test::hello_message(test::number(0, 2) + test::block("", 2))),
        test::record("\x02" + test::block("server hello", 3)), test::record(""),
        std::string("\x16\x02\x00\x00\x05"), std::string("\x16\x03\x01\x7f\xff"),
        test::record("\x01\x7f\xff\xff"), test::record(test::number(1, 1) + test::block("x", 3)),
        test::record("\x01") + "GET / HTTP/1.1"}) {
    CAPTURE(bytes);
    CHECK(parse_client_hello(bytes).state == State::malformed);
  }
}

TEST_CASE("TLS hello: it passes only to the host that the tunnel was asked for") {
  const auto fault = [](std::optional<std::string_view> name, std::string_view host) {
    return server_name_fault(parse_client_hello(test::client_hello(name)), host);
  };
  CHECK(fault("example.com", "example.com").empty());
  CHECK(fault("Example.com.", "example.com").empty());
  CHECK(fault({}, "192.0.2.1").empty());
  CHECK(fault({}, "2001:db8::1").empty());
  CHECK(fault("evil.test", "example.com").find("evil.test") != std::string::npos);
  CHECK_FALSE(fault({}, "example.com").empty());
  CHECK_FALSE(fault("example.com", "192.0.2.1").empty());
  CHECK_FALSE(fault("192.0.2.1", "192.0.2.1").empty());
  CHECK_FALSE(fault("exa\nmple.com", "example.com").empty());
}
