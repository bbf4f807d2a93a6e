#include "sandbox/proxy_upstream.hpp"

#include <doctest/doctest.h>

#include "sandbox/proxy_protocol.hpp"

using namespace flow_runner;

TEST_CASE("upstream proxy: both cases of the variables, the lower one first, with credentials") {
  const auto proxies = UpstreamProxies::from_environment(
      {"HTTPS_PROXY=http://upper.test:1", "https_proxy=http://us%65r:p%40ss@Proxy.test:3128/",
       "HTTP_PROXY=proxy.test:8080", "http_proxy=", "PATH=/bin"});
  REQUIRE(proxies.has_value());
  const auto* tunnel = proxies->for_tunnel("example.com", 443);
  REQUIRE(tunnel != nullptr);
  CHECK(tunnel->host == "proxy.test");
  CHECK(tunnel->port == 3128);
  CHECK(tunnel->authorization == "Basic dXNlcjpwQHNz");
  const auto* plain = proxies->for_plain("example.com", 80);
  REQUIRE(plain != nullptr);
  CHECK(plain->port == 8080);
  CHECK(plain->authorization.empty());
  CHECK(proxies->for_tunnel("127.0.0.1", 443) == nullptr);
  CHECK(proxies->for_tunnel("localhost", 443) == nullptr);
  CHECK(UpstreamProxies::from_environment({})->for_tunnel("example.com", 443) == nullptr);
}

TEST_CASE("upstream proxy: another kind of proxy is refused, without its password") {
  for (const std::string value :
       {"socks5://proxy.test:1080", "https://u:hunter2@proxy.test:443", "http://u:hunter2@:80",
        "http://u:%zz@proxy.test:80", "http://"}) {
    CAPTURE(value);
    const auto proxies = UpstreamProxies::from_environment({"https_proxy=" + value});
    REQUIRE(proxies.has_error());
    CHECK(proxies.error().message.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("upstream proxy: no_proxy names what goes straight") {
  struct Row {
    std::string_view list, host;
    std::uint16_t port;
    bool straight;
  };
  for (const Row& row : {Row{"*", "example.com", 443, true},
                         {"example.com", "example.com", 443, true},
                         {"example.com", "www.example.com", 443, true},
                         {"example.com", "notexample.com", 443, false},
                         {".example.com", "www.example.com", 443, true},
                         {".example.com", "example.com", 443, false},
                         {"*.example.com", "www.example.com", 443, true},
                         {"a.test, Example.COM", "example.com", 443, true},
                         {"example.com:8443", "example.com", 443, false},
                         {"example.com:8443", "example.com", 8443, true},
                         {"10.0.0.0/8", "10.1.2.3", 443, true},
                         {"10.0.0.0/8", "11.1.2.3", 443, false},
                         {"192.0.2.1", "192.0.2.1", 443, true},
                         {"192.0.2.1:80", "192.0.2.1", 443, false},
                         {"2001:db8::/32", "2001:db8::1", 443, true},
                         {"[2001:db8::1]:443", "2001:db8::1", 443, true},
                         {"2001:db8::2", "2001:db8::1", 443, false},
                         {"", "example.com", 443, false},
                         {",, .", "example.com", 443, false}}) {
    CAPTURE(row.list);
    CAPTURE(row.host);
    const auto proxies = UpstreamProxies::from_environment(
        {"https_proxy=http://proxy.test:1", "NO_PROXY=" + std::string(row.list)});
    REQUIRE(proxies.has_value());
    CHECK((proxies->for_tunnel(row.host, row.port) == nullptr) == row.straight);
  }
}

TEST_CASE("proxy protocol: settings and events come back as they were") {
  ProxySettings settings;
  settings.policy.allow.push_back(*parse_network_rule("*.example.com:443", "preset agents"));
  settings.policy.allow.push_back(*parse_network_rule("[2001:db8::/32]:*", "network.allow"));
  settings.policy.allow[1].any_address = true;
  settings.policy.deny.push_back(*parse_network_rule("a.example.com:*", "network.deny"));
  settings.policy.narrowed_to.emplace();
  settings.limits.idle_time = std::chrono::seconds(7);
  settings.upstream_environment = {"http_proxy=http://u:p@proxy.test:1"};
  settings.uid = 65534;
  const auto read = parse_proxy_settings(*to_json(settings));
  REQUIRE(read.has_value());
  CHECK(read->policy == settings.policy);
  CHECK(read->limits.idle_time == settings.limits.idle_time);
  CHECK(read->upstream_environment == settings.upstream_environment);
  CHECK(read->uid == settings.uid);
  CHECK(parse_proxy_settings("{}").has_error());
  CHECK(parse_proxy_settings("").has_error());

  NetworkEvent event;
  event.kind = NetworkEvent::Kind::failed;
  event.host = "example.com";
  event.port = 443;
  event.bytes_down = 1ULL << 40;
  const auto again = parse_event(to_line(event));
  REQUIRE(again.has_value());
  CHECK(again->kind == event.kind);
  CHECK(again->host == event.host);
  CHECK(again->bytes_down == event.bytes_down);
}

TEST_CASE("proxy protocol: an event from a proxy that lies is cut to measure") {
  const auto event =
      parse_event(R"({"kind":"denied","host":")" + std::string(5000, 'h') +
                  R"(","reason":"a\u001b[2Jb\u202e","port":99999999,"status":-3,)"
                  R"("bytes_up":1e300,"method":7,"duration_ms":18446744073709551615})");
  REQUIRE(event.has_value());
  CHECK(event->host.size() == 300);
  CHECK(event->reason == "a?[2Jb???");
  CHECK(event->port == 65535);
  CHECK(event->status == 0);
  CHECK(event->bytes_up == 0);
  CHECK(event->method.empty());
  CHECK(event->duration.count() > 0);
  for (const std::string& line :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"kind":"x"})"),
        std::string("{"), std::string("\xff"), std::string(9000, ' ') + R"({"kind":"denied"})"})
    CHECK(parse_event(line).has_error());
  NetworkEvent long_event;
  long_event.host = std::string(10000, '\xff');
  long_event.reason = std::string(10000, '"');
  CHECK(to_line(long_event).size() < max_event_bytes);
}
