#include "config/network_policy.hpp"

#include <doctest/doctest.h>

#include <boost/asio/ip/address.hpp>

using namespace flow_runner;
namespace ip = boost::asio::ip;

namespace {

NetworkRule rule(std::string_view text) {
  auto parsed = parse_network_rule(text, "network.allow");
  REQUIRE_MESSAGE(parsed.has_value(), text);
  return *parsed;
}

std::vector<NetworkRule> rules(std::initializer_list<std::string_view> entries) {
  std::vector<NetworkRule> out;
  for (const auto entry : entries) out.push_back(rule(entry));
  return out;
}

}  // namespace

TEST_CASE("network policy: what is proposed for an entry without a port is a host, or an example") {
  CHECK(parse_network_rule("host.test", "t").error().message.find("write host.test:443") !=
        std::string::npos);
  const auto odd = parse_network_rule(std::string(400, '\xff'), "t");
  REQUIRE_FALSE(odd.has_value());
  CHECK(odd.error().message.size() < 250);
  CHECK(odd.error().message.find("write example.com:443") != std::string::npos);
  CHECK(odd.error().message.find('\xff') == std::string::npos);
}

TEST_CASE("network policy: a host is written in one form") {
  struct Row {
    std::string_view text, canonical;
  };
  for (const Row& row : {Row{"Example.COM", "example.com"},
                         {"example.com.", "example.com"},
                         {"xn--bcher-kva.example", "xn--bcher-kva.example"},
                         {"my_service", "my_service"},
                         {"1.2.3.4", "1.2.3.4"},
                         {"1.2.3.4.", "1.2.3.4"},
                         {"[2001:DB8:0:0::1]", "2001:db8::1"},
                         {"2001:db8::1", "2001:db8::1"},
                         {"[::ffff:10.0.0.1]", "10.0.0.1"},
                         {"::ffff:7f00:1", "127.0.0.1"},
                         {"1password.com", "1password.com"},
                         {"0x7f.example", "0x7f.example"}}) {
    CAPTURE(row.text);
    const auto host = canonical_host(row.text);
    REQUIRE(host.has_value());
    CHECK(*host == row.canonical);
    CHECK(*canonical_host(*host) == *host);
  }
}

TEST_CASE("network policy: a host that people and resolvers read differently is refused") {
  for (const std::string_view text : {std::string_view(""),
                                      std::string_view("."),
                                      std::string_view("a..b"),
                                      std::string_view(".a"),
                                      std::string_view("a.."),
                                      std::string_view("ex%61mple.com"),
                                      std::string_view("b\xc3\xbc"
                                                       "cher.example"),
                                      std::string_view("a\0b", 3),
                                      std::string_view("a b"),
                                      std::string_view("a\n"),
                                      std::string_view("a/b"),
                                      std::string_view("user@host"),
                                      std::string_view("-a.com"),
                                      std::string_view("a-.com"),
                                      std::string_view("0x7f.1"),
                                      std::string_view("0x7f000001"),
                                      std::string_view("0X7F.0.0.1"),
                                      std::string_view("017700000001"),
                                      std::string_view("0177.0.0.1"),
                                      std::string_view("2130706433"),
                                      std::string_view("127.1"),
                                      std::string_view("1.2.3"),
                                      std::string_view("1.2.3.04"),
                                      std::string_view("1.2.3.0x4"),
                                      std::string_view("256.1.1.1"),
                                      std::string_view("1.2.3.4.5"),
                                      std::string_view("example.0x"),
                                      std::string_view("[fe80::1%eth0]"),
                                      std::string_view("fe80::1%1"),
                                      std::string_view("[::1"),
                                      std::string_view("::1]"),
                                      std::string_view("[1.2.3.4]"),
                                      std::string_view("[]"),
                                      std::string_view(":::"),
                                      std::string_view("a:80")}) {
    CAPTURE(text);
    const auto host = canonical_host(text);
    REQUIRE(host.has_error());
    CHECK(host.error().code == ErrorCode::invalid_input);
  }
  CHECK(canonical_host(std::string(63, 'a') + ".com").has_value());
  CHECK(canonical_host(std::string(64, 'a') + ".com").has_error());
  std::string longest;
  for (int i = 0; i < 63; ++i) longest += "aaa.";
  CHECK(canonical_host(longest + "a").has_value());
  CHECK(canonical_host(longest + "aa").has_error());
}

TEST_CASE("network policy: entries are read, and written as they are read") {
  for (const std::string_view text :
       {"registry.npmjs.org:443", "*.example.com:443", "example.com:*", "1.2.3.4:80",
        "[2001:db8::1]:443", "10.0.0.0/8:443", "[2001:db8::/32]:*", "0.0.0.0/0:443", "1.2.3.4/32:1",
        "example.com:65535"}) {
    CAPTURE(text);
    CHECK(to_string(rule(text)) == text);
  }
  CHECK(to_string(rule("[2001:db8::]/32:443")) == "[2001:db8::/32]:443");
  CHECK(to_string(rule("Example.com.:443")) == "example.com:443");
  CHECK(to_string(rule("[::ffff:10.0.0.0/104]:443")) == "10.0.0.0/8:443");
  CHECK(rule("example.com:443").origin == "network.allow");
}

TEST_CASE("network policy: an entry that is none is refused, with one that is") {
  for (const std::string_view text : {"",
                                      ":443",
                                      "example.com",
                                      "example.com:",
                                      "example.com:0",
                                      "example.com:65536",
                                      "example.com:0443",
                                      "example.com:+443",
                                      "example.com: 443",
                                      "example.com:443 ",
                                      "example.com:https",
                                      "https://example.com",
                                      "https://example.com:443",
                                      "example.com/path:443",
                                      "example.com:443/path",
                                      "user@example.com:443",
                                      "*:443",
                                      "*.:443",
                                      "a.*.com:443",
                                      "*a.com:443",
                                      "*.*.com:443",
                                      "*.1.2.3.4:443",
                                      "*.[::1]:443",
                                      "10.0.0.1/8:443",
                                      "10.0.0.0/33:443",
                                      "10.0.0.0/:443",
                                      "10.0.0.0/-1:443",
                                      "2001:db8::1",
                                      "2001:db8::1:443",
                                      "[2001:db8::1]",
                                      "[2001:db8::1]443",
                                      "[example.com]:443",
                                      "[2001:db8::1/32]:443",
                                      "[::ffff:0.0.0.0/90]:1",
                                      "[::/129]:1",
                                      "127.1:80",
                                      "**:443"}) {
    CAPTURE(text);
    const auto parsed = parse_network_rule(text, "network.allow");
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code == ErrorCode::invalid_input);
    CHECK(parsed.error().message.size() < 400);
  }
  CHECK(parse_network_rule("example.com", "x").error().message.find("example.com:443") !=
        std::string::npos);
}

TEST_CASE("network policy: every address has its class, embedded ones that of what they embed") {
  struct Row {
    const char* address;
    AddressClass is;
  };
  using enum AddressClass;
  for (const Row& row : {Row{"8.8.8.8", global},
                         {"0.0.0.0", unspecified},
                         {"0.1.2.3", unspecified},
                         {"127.0.0.1", loopback},
                         {"127.255.255.255", loopback},
                         {"10.1.2.3", private_network},
                         {"172.15.0.1", global},
                         {"172.16.0.1", private_network},
                         {"172.32.0.1", global},
                         {"192.168.1.1", private_network},
                         {"100.64.0.1", private_network},
                         {"100.128.0.1", global},
                         {"198.18.0.1", private_network},
                         {"240.0.0.1", private_network},
                         {"255.255.255.255", private_network},
                         {"224.0.0.1", multicast},
                         {"169.254.1.1", link_local},
                         {"169.254.169.254", metadata},
                         {"169.254.170.2", metadata},
                         {"100.100.100.200", metadata},
                         {"168.63.129.16", metadata},
                         {"::", unspecified},
                         {"::1", loopback},
                         {"2600::1", global},
                         {"fd00::1", private_network},
                         {"fd00:ec2::254", metadata},
                         {"fe80::1", link_local},
                         {"fec0::1", private_network},
                         {"ff02::1", multicast},
                         {"2001:db8::1", private_network},
                         {"100::1", private_network},
                         {"::ffff:127.0.0.1", loopback},
                         {"::ffff:8.8.8.8", global},
                         {"::127.0.0.1", loopback},
                         {"::10.0.0.1", private_network},
                         {"64:ff9b::169.254.169.254", metadata},
                         {"64:ff9b::8.8.8.8", global},
                         {"64:ff9b:1::1", private_network},
                         {"2002:7f00:1::1", loopback},
                         {"2002:808:808::1", global},
                         {"2001:0:808:808::f5ff:fffe", private_network},  // client 10.0.0.1
                         {"2001:0:a00:1::f7f7:f7f7", private_network},    // server 10.0.0.1
                         {"2001:0:808:808::f7f7:f7f7", global}}) {
    CAPTURE(row.address);
    CHECK(to_string(classify(ip::make_address(row.address))) == to_string(row.is));
  }
}

TEST_CASE("network policy: a target needs an entry for its name and its port") {
  NetworkPolicy policy;
  policy.allow = rules(
      {"example.com:443", "*.npmjs.org:443", "git.test:*", "10.0.0.0/8:5432", "[2001:db8::1]:443"});
  struct Row {
    std::string_view host;
    std::uint16_t port;
    bool allowed;
  };
  for (const Row& row : {Row{"example.com", 443, true},
                         {"example.com", 80, false},
                         {"www.example.com", 443, false},
                         {"notexample.com", 443, false},
                         {"registry.npmjs.org", 443, true},
                         {"a.b.npmjs.org", 443, true},
                         {"npmjs.org", 443, false},
                         {"evilnpmjs.org", 443, false},
                         {".npmjs.org", 443, false},
                         {"git.test", 22, true},
                         {"10.1.2.3", 5432, true},
                         {"11.1.2.3", 5432, false},
                         {"10.1.2.3", 443, false},
                         {"2001:db8::1", 443, true},
                         {"2001:db8::2", 443, false}}) {
    CAPTURE(row.host);
    CAPTURE(row.port);
    const auto verdict = decide(policy, row.host, row.port);
    CHECK(verdict.allowed == row.allowed);
    CHECK(verdict.rule.has_value() == row.allowed);
    CHECK(verdict.reason.empty() == row.allowed);
  }
  const auto verdict = decide(policy, "2001:db8::2", 443);
  CHECK(verdict.cure == "[2001:db8::2]:443");
  CHECK_FALSE(decide(NetworkPolicy{}, "example.com", 443).allowed);
}

TEST_CASE("network policy: deny wins, and offers no cure") {
  NetworkPolicy policy;
  policy.allow = rules({"*.example.com:*", "0.0.0.0/0:443"});
  policy.deny = rules({"evil.example.com:*", "203.0.113.0/24:443"});
  CHECK(decide(policy, "good.example.com", 443).allowed);
  const auto verdict = decide(policy, "evil.example.com", 443);
  CHECK_FALSE(verdict.allowed);
  CHECK(verdict.cure.empty());
  CHECK(verdict.reason.find("evil.example.com:*") != std::string::npos);
  CHECK_FALSE(decide(policy, "203.0.113.9", 443).allowed);
  CHECK(decide(policy, "203.0.114.9", 443).allowed);
}

TEST_CASE("network policy: a flow can narrow what is allowed, and never widen it") {
  NetworkPolicy policy;
  policy.allow = rules({"a.test:443", "b.test:443"});
  policy.narrowed_to = rules({"a.test:*", "c.test:443"});
  CHECK(decide(policy, "a.test", 443).allowed);
  CHECK_FALSE(decide(policy, "b.test", 443).allowed);
  CHECK_FALSE(decide(policy, "c.test", 443).allowed);
  CHECK(decide(policy, "b.test", 443).reason.find("flow's own") != std::string::npos);
  policy.narrowed_to = rules({});
  CHECK_FALSE(decide(policy, "a.test", 443).allowed);
}

TEST_CASE("network policy: a name leads to a special address only where the address is named") {
  NetworkPolicy policy;
  policy.allow = rules({"a.test:443", "10.0.0.0/8:443", "169.254.169.254:80"});
  policy.deny = rules({"10.9.0.0/16:*", "8.8.4.4:443"});
  const NetworkRule plain = policy.allow[0];
  NetworkRule own = plain;
  own.any_address = true;
  struct Row {
    const char* address;
    std::uint16_t port;
    bool plain, own;
  };
  for (const Row& row : {Row{"8.8.8.8", 443, true, true},
                         {"8.8.4.4", 443, false, false},
                         {"10.1.1.1", 443, true, true},
                         {"10.1.1.1", 80, false, true},
                         {"10.9.1.1", 443, false, false},
                         {"64:ff9b::10.9.1.1", 443, false, false},
                         {"::ffff:10.1.1.1", 443, true, true},
                         {"127.0.0.1", 443, false, true},
                         {"::1", 443, false, true},
                         {"192.168.0.1", 443, false, true},
                         {"169.254.169.254", 443, false, false},
                         {"169.254.169.254", 80, true, true},
                         {"fd00:ec2::254", 443, false, false},
                         {"169.254.3.3", 443, false, false},
                         {"0.0.0.0", 443, false, false},
                         {"224.0.0.1", 443, false, false}}) {
    CAPTURE(row.address);
    CAPTURE(row.port);
    const auto address = ip::make_address(row.address);
    CHECK(decide_address(policy, plain, address, row.port).allowed == row.plain);
    CHECK(decide_address(policy, own, address, row.port).allowed == row.own);
  }
  const auto verdict = decide_address(policy, plain, ip::make_address("127.0.0.1"), 443);
  CHECK(verdict.cure == "127.0.0.1:443");
  CHECK(verdict.reason.find("loopback") != std::string::npos);
}

TEST_CASE("network policy: of two entries that match, the host's own one counts") {
  NetworkPolicy policy;
  policy.allow = rules({"a.test:443", "a.test:443"});
  policy.allow[1].any_address = true;
  CHECK(decide(policy, "a.test", 443).rule->any_address);
}
