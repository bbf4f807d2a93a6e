#include "config/network_policy.hpp"

#include <doctest/doctest.h>
#include <utility>
#include <vector>

using namespace flow_runner;

namespace {

NetworkRule rule(const char* text) {
  const auto parsed = parse_network_rule(text, "test");
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return *parsed;
}

boost::asio::ip::address address(const char* text) { return boost::asio::ip::make_address(text); }

}  // namespace

TEST_CASE("network policy: hosts have one form") {
  for (const auto& [text, canonical] : std::vector<std::pair<const char*, const char*>>{
           {"Example.COM", "example.com"},
           {"example.com.", "example.com"},
           {"192.0.2.7", "192.0.2.7"},
           {"[2001:DB8:0::1]", "2001:db8::1"},
           {"::ffff:192.0.2.7", "192.0.2.7"},
           {"xn--bcher-kva.example", "xn--bcher-kva.example"}}) {
    const auto host = canonical_host(text);
    REQUIRE_MESSAGE(host.has_value(), text);
    CHECK(*host == canonical);
  }
}

TEST_CASE("network policy: odd spellings of hosts are refused") {
  for (const char* text : {"",
                           ".",
                           "a..b",
                           ".a",
                           "a%2eb",
                           "a b",
                           "a\tb",
                           "b\xc3\xbc"
                           "cher.example",
                           "0x7f.1",
                           "0x7f000001",
                           "017700000001",
                           "2130706433",
                           "127.1",
                           "127.0.0.01",
                           "256.1.1.1",
                           "1.2.3.4.5",
                           "fe80::1%eth0",
                           "[fe80::1%25lo]",
                           "[example.com]",
                           "[::1",
                           "a/b",
                           "a@b",
                           "a:b"})
    CHECK_MESSAGE(canonical_host(text).has_error(), text);
  CHECK(canonical_host(std::string(64, 'a') + ".example").has_error());
  CHECK(canonical_host(std::string(63, 'a') + ".example").has_value());
}

TEST_CASE("network policy: entries are read, and written as they are read") {
  for (const char* text : {"api.example.com:443", "*.example.org:80", "192.0.2.7:8080",
                           "[2001:db8::1]:443", "10.0.0.0/8:*", "[2001:db8::/32]:443"})
    CHECK(to_string(rule(text)) == text);
  for (const char* text : {"example.com", "https://example.com:443", "example.com:0", "a:65536",
                           "a:x", "*:443", "a.*.com:1", "*.*.com:1", "*.1.2.3.4:1", "10.0.0.1/8:1",
                           "1.2.3.4/33:1", "2001:db8::1:443", "[::1]", "a/b:1", ":1"})
    CHECK_MESSAGE(parse_network_rule(text, "test").has_error(), text);
}

TEST_CASE("network policy: a wildcard is for what lies below, and deny wins") {
  const NetworkPolicy policy{.allow = {rule("*.example.org:443"), rule("10.0.0.0/8:80")},
                             .deny = {rule("bad.example.org:*")},
                             .narrowed_to = {}};
  CHECK(decide(policy, "a.example.org", 443).allowed);
  CHECK(decide(policy, "a.b.example.org", 443).allowed);
  CHECK_FALSE(decide(policy, "example.org", 443).allowed);
  CHECK_FALSE(decide(policy, "evilexample.org", 443).allowed);
  CHECK_FALSE(decide(policy, "a.example.org", 80).allowed);
  CHECK_FALSE(decide(policy, "bad.example.org", 443).allowed);
  CHECK(decide(policy, "10.9.8.7", 80).allowed);
  CHECK_FALSE(decide(policy, "11.0.0.1", 80).allowed);
  CHECK(decide(policy, "c.example.com", 80).cure == "c.example.com:80");
}

TEST_CASE("network policy: a flow can only narrow") {
  NetworkPolicy policy{.allow = {rule("*.example.org:*")}, .deny = {}, .narrowed_to = {}};
  policy.narrowed_to = {rule("a.example.org:443"), rule("other.example.com:443")};
  CHECK(decide(policy, "a.example.org", 443).allowed);
  CHECK_FALSE(decide(policy, "b.example.org", 443).allowed);
  CHECK_FALSE(decide(policy, "other.example.com", 443).allowed);
}

TEST_CASE("network policy: addresses that are not the world's must be named themselves") {
  const NetworkRule by = rule("a.example.org:443");
  NetworkPolicy policy{.allow = {by}, .deny = {}, .narrowed_to = {}};
  for (const char* text : {"127.0.0.1",
                           "0.0.0.0",
                           "10.1.2.3",
                           "172.31.0.1",
                           "192.168.1.1",
                           "100.64.0.1",
                           "169.254.1.1",
                           "169.254.169.254",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::1",
                           "::",
                           "fe80::1",
                           "fd00::1",
                           "ff02::1",
                           "fd00:ec2::254",
                           "::ffff:10.0.0.1",
                           "::10.0.0.1",
                           "64:ff9b::10.0.0.1",
                           "2002:0a00:0001::1",
                           "2001:0:0:0:0:0:f5ff:fffe"})
    CHECK_MESSAGE(!decide_address(policy, by, address(text), 443).allowed, text);
  for (const char* text : {"8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8"})
    CHECK_MESSAGE(decide_address(policy, by, address(text), 443).allowed, text);
  policy.allow.push_back(rule("10.1.2.3:443"));
  CHECK(decide_address(policy, by, address("10.1.2.3"), 443).allowed);
  CHECK_FALSE(decide_address(policy, by, address("10.1.2.3"), 80).allowed);
  CHECK_FALSE(decide_address(policy, by, address("10.1.2.4"), 443).allowed);
}

TEST_CASE("network policy: what the host itself names may be private, never a metadata service") {
  NetworkRule by = rule("registry.example.org:443");
  by.any_address = true;
  const NetworkPolicy policy{.allow = {by}, .deny = {rule("10.9.0.0/16:*")}, .narrowed_to = {}};
  CHECK(decide_address(policy, by, address("10.1.2.3"), 443).allowed);
  CHECK(decide_address(policy, by, address("127.0.0.1"), 443).allowed);
  CHECK_FALSE(decide_address(policy, by, address("169.254.169.254"), 443).allowed);
  CHECK_FALSE(decide_address(policy, by, address("224.0.0.1"), 443).allowed);
  CHECK_FALSE(decide_address(policy, by, address("10.9.0.1"), 443).allowed);
}
