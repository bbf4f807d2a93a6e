#include "executor/network_summary.hpp"

#include <doctest/doctest.h>
#include <filesystem>
#include <sys/stat.h>

#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace flow_runner::fixtures;

namespace {

constexpr const char* lines =
    R"({"kind":"finished","host":"a.example","port":443,"bytes_up":10,"bytes_down":200})"
    "\n"
    R"({"kind":"finished","host":"a.example","port":443,"bytes_up":5,"bytes_down":1})"
    "\n"
    R"({"kind":"denied","host":"b.example","port":443,"reason":"not in network.allow"})"
    "\n"
    R"({"kind":"denied","host":"b.example","port":443,"reason":"another"})"
    "\n"
    R"({"kind":"failed","host":"2001:db8::1","port":80,"reason":"refused"})"
    "\n";

}  // namespace

TEST_CASE("network summary: hosts are counted with bytes, denials and failures") {
  const NetworkSummary summary = summarize_network(lines);
  CHECK(summary.complete);
  REQUIRE(summary.hosts.size() == 3);
  CHECK(summary.hosts[0].host == "[2001:db8::1]:80");
  CHECK(summary.hosts[0].failed == 1);
  CHECK(summary.hosts[1].host == "a.example:443");
  CHECK(summary.hosts[1].connections == 2);
  CHECK(summary.hosts[1].bytes_up == 15);
  CHECK(summary.hosts[1].bytes_down == 201);
  CHECK(summary.hosts[2].denied == 2);
  CHECK(summary.hosts[2].reason == "not in network.allow");
  const auto json = to_json(summary);
  CHECK(json["connections"] == 2);
  CHECK(json["denied"] == 2);
  CHECK(json["hosts"][1]["bytes_down"] == 201);
}

TEST_CASE("network summary: what is no line of ours counts for nothing, and steers no terminal") {
  const NetworkSummary summary = summarize_network(
      "{\n[]\n{\"kind\":7}\n\n"
      R"({"kind":"denied","host":"\u001b[2J\u009b.example","port":-1,"reason":{"a":1}})"
      "\n"
      R"({"kind":"truncated"})"
      "\n"
      R"({"kind":"finished","ho)");
  CHECK_FALSE(summary.complete);
  REQUIRE(summary.hosts.size() == 1);
  CHECK(summary.hosts[0].host == "?[2J??.example:0");
  CHECK(summary.hosts[0].reason.empty());
}

TEST_CASE("network summary: more hosts than are counted make it incomplete") {
  std::string many;
  for (std::size_t i = 0; i <= NetworkSummary::max_hosts; ++i)
    many += R"({"kind":"denied","host":"h)" + std::to_string(i) + R"(","port":443})" + "\n";
  const NetworkSummary summary = summarize_network(many);
  CHECK(summary.hosts.size() == NetworkSummary::max_hosts);
  CHECK(summary.total.denied == NetworkSummary::max_hosts + 1);
  CHECK_FALSE(summary.complete);
}

TEST_CASE("network summary: only a regular file is read, and none is no mistake") {
  const TemporaryDirectory folder;
  const auto absent = read_network_summary(folder / "network.jsonl");
  REQUIRE(absent.has_value());
  CHECK_FALSE(absent->has_value());
  write_file(folder / "real", lines);
  std::filesystem::create_symlink(folder / "real", folder / "link");
  CHECK_FALSE(read_network_summary(folder / "link").has_value());
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK_FALSE(read_network_summary(folder / "fifo").has_value());
  const auto read = read_network_summary(folder / "real");
  REQUIRE(read.has_value());
  CHECK((*read)->hosts.size() == 3);
}
