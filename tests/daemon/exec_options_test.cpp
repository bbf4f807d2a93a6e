#include "daemon/cli/exec_options.hpp"

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>

using namespace flow_runner;
using namespace flow_runner::cli;

namespace {

Result<ExecOptions> parse(std::vector<std::string> words) {
  CLI::App app;
  ExecArguments arguments;
  add_exec_options(app, arguments);
  std::reverse(words.begin(), words.end());
  app.parse(words);
  return read_exec_options(arguments);
}

std::string refusal(const std::vector<std::string>& words) {
  const auto options = parse(words);
  if (options) return "";
  CHECK(options.error().code == ErrorCode::invalid_input);
  return options.error().message;
}

}  // namespace

TEST_CASE("exec options: the default is a dry run of the only flow, here") {
  const auto options = parse({});
  REQUIRE(options.has_value());
  CHECK(options->flow.empty());
  CHECK(options->publish == PublishMode::none);
  CHECK(options->dirty == DirtyTree::refused);
  CHECK(options->git_token == GitToken::withheld);
  CHECK(options->event == "mention");
  CHECK(options->network == NetworkMode::proxy);
  CHECK(options->network_allow.empty());
}

TEST_CASE("exec options: every option arrives") {
  const auto options = parse({"flow.yaml",
                              "--repo",
                              "https://example.com/a/b",
                              "--ref",
                              "v1",
                              "--branch",
                              "duo/x",
                              "--input",
                              "do it",
                              "--context-file",
                              "-",
                              "--event",
                              "assign",
                              "--var",
                              "A=1=2",
                              "--var",
                              "B=",
                              "--secret",
                              "KEY",
                              "--secret",
                              "TOKEN=@/run/token",
                              "--git-token-from",
                              "TOKEN",
                              "--image",
                              "debian:12",
                              "--pull",
                              "never",
                              "--network",
                              "host",
                              "--memory",
                              "1GiB",
                              "--cpus",
                              "1.5",
                              "--pids",
                              "64",
                              "--disk",
                              "2GiB",
                              "--timeout",
                              "90s",
                              "--ca-file",
                              "ca.pem",
                              "--push",
                              "--with-git-token"});
  REQUIRE(options.has_value());
  CHECK(options->flow == "flow.yaml");
  CHECK(options->repo == "https://example.com/a/b");
  CHECK(options->ref == "v1");
  CHECK(options->workload_ref == "duo/x");
  CHECK(options->input.text == "do it");
  CHECK(options->context.file == "-");
  CHECK(options->event == "assign");
  REQUIRE(options->variables.size() == 2);
  CHECK(options->variables[0].second == "1=2");
  CHECK(options->variables[1].second.empty());
  REQUIRE(options->secrets.size() == 2);
  CHECK(options->secrets[0].file.empty());
  CHECK(options->secrets[1].file == "/run/token");
  CHECK(options->git_token_from == "TOKEN");
  CHECK(options->image == "debian:12");
  CHECK(options->pull == PullPolicy::never);
  CHECK(options->network == NetworkMode::host);
  CHECK(options->limits.memory_bytes == 1U << 30);
  CHECK(options->limits.cpus == 1.5);
  CHECK(options->limits.pids == 64);
  CHECK(options->limits.disk_bytes == 2ULL << 30);
  CHECK(options->timeout == std::chrono::seconds(90));
  CHECK(options->publish == PublishMode::remote);
  CHECK(options->git_token == GitToken::injected);
}

TEST_CASE("exec options: network entries add up, and a preset is one") {
  const auto options = parse({"--network-allow", "a.example.com:443", "--network-allow", "agents",
                              "--network-deny", "b.example.com:443", "flow.yaml"});
  REQUIRE(options.has_value());
  CHECK(options->flow == "flow.yaml");
  CHECK(options->network == NetworkMode::proxy);
  CHECK(options->network_allow == std::vector<std::string>{"a.example.com:443", "agents"});
  REQUIRE(options->network_deny.size() == 1);
  CHECK(to_string(options->network_deny[0]) == "b.example.com:443");
}

TEST_CASE("exec options: an option with one value takes no more, so FLOW may follow") {
  const auto options = parse({"--var", "A=1", "flow.yaml"});
  REQUIRE(options.has_value());
  CHECK(options->flow == "flow.yaml");
  CHECK(options->variables.size() == 1);
}

TEST_CASE("exec options: a text that begins with a dash is a text") {
  const auto options = parse({"--input", "-v is broken", "--context=--x"});
  REQUIRE(options.has_value());
  CHECK(options->input.text == "-v is broken");
  CHECK(options->context.text == "--x");
}

TEST_CASE("exec options: a secret's value is refused and not repeated") {
  for (const char* word : {"KEY=hunter2", "KEY=", "KEY=@", "hunter2-", "=hunter2", "K-Y=hunter2"}) {
    CAPTURE(word);
    const std::string message = refusal({"--secret", word});
    CHECK_FALSE(message.empty());
    CHECK(message.find("hunter2") == std::string::npos);
  }
  CHECK(refusal({"--secret", "KEY=hunter2"}).find("--secret KEY=@FILE") != std::string::npos);
}

TEST_CASE("exec options: mistakes are refused by name") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> table = {
      {{"--push", "--push-local"}, "--push and --push-local"},
      {{"--input", "a", "--input-file", "b"}, "--input and --input-file"},
      {{"--input-file", "-", "--context-file", "-"}, "standard input"},
      {{"--plan", "--json"}, "--plan"},
      {{"--pull", "sometimes"}, "--pull is always"},
      {{"--network", "bridge"}, "--network is none, proxy or host"},
      {{"--network", "none", "--network-allow", "a.example.com:443"}, "say --network proxy"},
      {{"--network", "host", "--network-deny", "a.example.com:443"}, "say --network proxy"},
      {{"--network-allow", "a.example.com"}, "--network-allow a.example.com: "},
      {{"--network-allow", "agent"}, "presets are agents"},
      {{"--network-deny", "agents"}, "--network-deny agents: "},
      {{"--memory", "4G"}, "--memory"},
      {{"--memory", "1"}, "16MiB"},
      {{"--disk", "4G"}, "--disk"},
      {{"--disk", "1"}, "1MiB"},
      {{"--cpus", "0"}, "--cpus"},
      {{"--cpus", "nan"}, "--cpus"},
      {{"--cpus", "two"}, "--cpus"},
      {{"--pids", "1"}, "--pids"},
      {{"--pids", "-5"}, "--pids"},
      {{"--timeout", "soon"}, "--timeout"},
      {{"--timeout", "0"}, "--timeout"},
      {{"--workload-ref", "a..b"}, "--workload-ref"},
      {{"--var", "A"}, "--var needs NAME=VALUE"},
      {{"--var", "A-B=1"}, "--var"},
      {{"--event", "a b"}, "--event"},
      {{"--git-token-from", "glpat-abc"}, "--git-token-from"},
      {{"--ref", "x", "--include-uncommitted"}, "--include-uncommitted"},
      {{"--shell", "--shell-on-failure"}, "give one"},
      {{"--shell", "--json"}, "--json"},
      {{"--shell-on-failure", "--input-file", "-"}, "standard input"},
  };
  for (const auto& [words, expected] : table) {
    CAPTURE(words.front());
    CHECK(refusal(words).find(expected) != std::string::npos);
  }
}
