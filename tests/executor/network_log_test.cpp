#include "executor/network_log.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace flow_runner::fixtures;

namespace {

NetworkEvent event(NetworkEvent::Kind kind, const std::string& host) {
  NetworkEvent made;
  made.kind = kind;
  made.method = "CONNECT";
  made.host = host;
  made.port = 443;
  if (kind == NetworkEvent::Kind::denied) {
    made.reason = "not in network.allow";
    made.cure = host + ":443";
  } else if (kind == NetworkEvent::Kind::failed) {
    made.reason = "the name does not resolve";
  } else {
    made.bytes_up = 1024;
    made.bytes_down = 2048;
  }
  return made;
}

struct Fixture {
  TemporaryDirectory folder;
  std::filesystem::path file = folder / "network.jsonl";
  std::vector<std::string> said;

  NetworkLog open(NetworkLog::Limits limits = {}) {
    auto log = NetworkLog::open(
        file,
        MaskerPatterns::compile(
            {{.name = "KEY", .value = Secret("hunter2hunter2"), .marked = true}}),
        [this](const std::string& line) { said.push_back(line); }, limits);
    REQUIRE(log.has_value());
    return std::move(*log);
  }
  [[nodiscard]] std::vector<nlohmann::json> lines() const {
    std::vector<nlohmann::json> read;
    std::string rest = slurp(file);
    while (!rest.empty()) {
      const auto end = rest.find('\n');
      REQUIRE(end != std::string::npos);
      read.push_back(nlohmann::json::parse(rest.substr(0, end)));
      rest.erase(0, end + 1);
    }
    return read;
  }
};

constexpr auto denied = NetworkEvent::Kind::denied;
constexpr auto failed = NetworkEvent::Kind::failed;
constexpr auto finished = NetworkEvent::Kind::finished;

}  // namespace

TEST_CASE("network log: every event is a line, and the first denial and failure are said") {
  Fixture f;
  NetworkLog log = f.open();
  for (const auto kind : {denied, denied, failed, failed, finished})
    log.add(event(kind, "example.com"));
  CHECK(f.said == std::vector<std::string>{
                      "network: denied CONNECT example.com:443: not in network.allow; allow it "
                      "with --network-allow example.com:443",
                      "network: failed CONNECT example.com:443: the name does not resolve"});
  const auto lines = f.lines();
  REQUIRE(lines.size() == 5);
  CHECK(lines[0].at("kind") == "denied");
  CHECK(lines[4].at("bytes_down") == 2048);
  struct ::stat info {};
  REQUIRE(::stat(f.file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0137) == 0);
}

TEST_CASE("network log: no secret and no control character gets out") {
  Fixture f;
  NetworkLog log = f.open();
  log.add(event(denied, "hunter2hunter2.example.com"));
  log.add(event(denied, "a\x1b[2J\n.example.com"));
  CHECK(slurp(f.file).find("hunter2hunter2") == std::string::npos);
  REQUIRE(f.said.size() == 2);
  CHECK(f.said[1].find("a?[2J?.example.com:443") != std::string::npos);
  CHECK(f.lines().size() == 2);
}

TEST_CASE("network log: the file ends at its limit with a line that says so") {
  Fixture f;
  NetworkLog log = f.open({.max_file_bytes = 2000});
  for (int i = 0; i < 100; ++i) log.add(event(denied, "example.com"));
  const auto lines = f.lines();
  CHECK(std::filesystem::file_size(f.file) <= 2000);
  CHECK(lines.size() > 3);
  CHECK(lines.back().at("kind") == "truncated");
  CHECK(lines[lines.size() - 2].at("kind") == "denied");
}

TEST_CASE("network log: however many hosts are asked for, lines and hosts are bounded") {
  Fixture f;
  NetworkLog log = f.open({.max_lines = 3, .max_hosts = 5, .max_summary_hosts = 2});
  for (int i = 0; i < 50; ++i) log.add(event(denied, "h" + std::to_string(i) + ".example.com"));
  REQUIRE(f.said.size() == 4);
  CHECK(f.said.back().find("in network.jsonl only") != std::string::npos);
  const auto summary = log.summary();
  REQUIRE(summary.size() == 4);
  CHECK(summary[0] == "Network: 0 connections, 0 up, 0 down; 50 denied, 0 failed");
  CHECK(summary[1] == "  (other hosts)  denied 45 times");
  CHECK(summary[2] == "  h0.example.com:443  denied 1 time");
  CHECK(summary[3] == "  and 4 more: see network.jsonl");
}

TEST_CASE("network log: the summary counts, the busiest host first, and says nothing of nothing") {
  Fixture f;
  NetworkLog log = f.open();
  CHECK(log.summary().empty());
  log.add(event(finished, "a.example.com"));
  log.add(event(finished, "b.example.com"));
  log.add(event(finished, "b.example.com"));
  log.add(event(failed, "c.example.com"));
  const auto summary = log.summary();
  REQUIRE(summary.size() == 4);
  CHECK(summary[0] == "Network: 3 connections, 3KiB up, 6KiB down; 0 denied, 1 failed");
  CHECK(summary[1] == "  b.example.com:443  2 connections, 2KiB up, 4KiB down");
  CHECK(summary[2] == "  a.example.com:443  1 connection, 1KiB up, 2KiB down");
  CHECK(summary[3] == "  c.example.com:443  failed 1 time");
}
