#include "config/job.hpp"

#include <doctest/doctest.h>

#include "config/network_presets.hpp"

using namespace flow_runner;

namespace {

NetworkRule rule(const std::string& host, const std::string& origin = "network.allow") {
  return {.host = host, .prefix_bits = {}, .port = 443, .origin = origin};
}

}  // namespace

TEST_CASE("job: a flow's network mode only narrows") {
  constexpr NetworkMode none = NetworkMode::none;
  constexpr NetworkMode proxy = NetworkMode::proxy;
  constexpr NetworkMode host = NetworkMode::host;
  struct Row {
    NetworkMode given, asked, got;
  };
  for (const Row& row : {Row{none, none, none},
                         {none, proxy, none},
                         {none, host, none},
                         {proxy, none, none},
                         {proxy, proxy, proxy},
                         {proxy, host, proxy},
                         {host, none, none},
                         {host, proxy, proxy},
                         {host, host, host}}) {
    Job job;
    job.network = row.given;
    FlowExtensions asked;
    asked.network = row.asked;
    narrow(job, asked);
    CHECK(job.network == row.got);
    Job silent;
    silent.network = row.given;
    narrow(silent, {});
    CHECK(silent.network == row.given);
  }
}

TEST_CASE("job: a flow's list narrows what the job was given, and adds nothing") {
  Job job;
  job.network = NetworkMode::proxy;
  job.network_policy.allow = {rule("a.example.com"), rule("npm.example.com", "preset registries")};
  const auto allow = job.network_policy.allow;
  FlowExtensions asked;
  asked.network = NetworkMode::proxy;
  asked.network_allow = {"b.example.com:443", "registries"};
  asked.network_deny = {"c.example.com:443"};
  narrow(job, asked);
  narrow(job, asked);
  CHECK(job.network_policy.allow == allow);
  REQUIRE(job.network_policy.narrowed_to.has_value());
  CHECK(*job.network_policy.narrowed_to ==
        std::vector{rule("b.example.com", "x-flow-runner.network"),
                    rule("npm.example.com", "preset registries")});
  CHECK(job.network_policy.deny == std::vector{rule("c.example.com", "x-flow-runner.network")});
}

TEST_CASE("job: a flow that wants the proxy where the host's network is given gets its list") {
  Job job;
  job.network = NetworkMode::host;
  FlowExtensions asked;
  asked.network = NetworkMode::proxy;
  asked.network_allow = {"b.example.com:443"};
  narrow(job, asked);
  narrow(job, asked);
  CHECK(job.network == NetworkMode::proxy);
  CHECK(job.network_policy.allow == std::vector{rule("b.example.com", "x-flow-runner.network")});
  CHECK(job.network_policy.narrowed_to == job.network_policy.allow);
}

TEST_CASE("network presets: the job's own instance, wherever it is") {
  Job job;
  job.repository.url = "https://gitlab.example.com/g/p.git";
  job.publish.url = job.repository.url;
  const auto add = [&](const char* name, const char* value) {
    job.variables.push_back({.name = name, .value = Secret(value), .origin = "x"});
  };
  add("CI_SERVER_URL", "https://old.example.com");
  add("CI_SERVER_URL", "https://gitlab.example.com:8443");
  add("CI_API_V4_URL", "http://user:word@api.example.com/api/v4");
  const auto rules = gitlab_preset(job);
  std::string all;
  for (const NetworkRule& one : rules) {
    // A variable alone does not make a host one whose name may lead into the host's own network.
    CHECK(one.any_address == (one.host == "gitlab.example.com"));
    all += to_string(one) + " ";
  }
  CHECK(all == "gitlab.example.com:443 gitlab.example.com:8443 api.example.com:80 ");
  job = Job();
  job.repository.url = "/srv/git/p.git";
  CHECK(gitlab_preset(job).empty());
}

TEST_CASE("network presets: the agents' hosts are all readable, and reached by TLS only") {
  const auto rules = agents_preset();
  CHECK(rules.size() > 8);
  for (const NetworkRule& one : rules) {
    CHECK(one.port == 443);
    CHECK_FALSE(one.any_address);
    CHECK_FALSE(one.wildcard);
  }
}

TEST_CASE("network presets: an entry is a preset's name or a rule") {
  const Job job;
  const std::vector registries = {rule("npm.example.com", "preset registries")};
  CHECK(expand_network_entry("agents", "x", job, {}).value() == agents_preset());
  CHECK(expand_network_entry("registries", "x", job, registries).value() == registries);
  CHECK(expand_network_entry("a.example.com:443", "x", job, {}).value() ==
        std::vector{rule("a.example.com", "x")});
  const auto wrong = expand_network_entry("agent", "x", job, {});
  REQUIRE(wrong.has_error());
  CHECK(wrong.error().message.find("presets are agents") != std::string::npos);
}
