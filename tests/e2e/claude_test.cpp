// The real Claude Code, by our own flow file as it is, on a repository behind TLS: from the package
// registry into the container, against a stand-in for the model, to the pushed branch.
//
// FLOW_RUNNER_OFFLINE in the environment: without a registry the test is skipped instead of failed.
#include <condition_variable>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "tests/e2e/exec_fixture.hpp"
#include "tests/fixtures/git_server.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/provider.hpp"

using namespace flow_runner;
using namespace std::chrono_literals;
using e2e::ExecFixture;
namespace fs = std::filesystem;

namespace {

constexpr const char* project = "group/project";
constexpr const char* written = "greeting.txt";
constexpr const char* content = "Hello from the agent\n";
constexpr const char* api_key = "sk-ant-api03-0fA4kE9kEy7fOr1tHe2tEsT";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// The CAs that this host's own programs trust.
fs::path trusted_bundle() {
  for (const fs::path& file :
       {fs::path(variable("SSL_CERT_FILE")), fs::path("/etc/ssl/certs/ca-certificates.crt"),
        fs::path("/etc/pki/tls/certs/ca-bundle.crt"), fs::path("/etc/ssl/cert.pem")})
    if (std::error_code ignored; fs::is_regular_file(file, ignored)) return file;
  return {};
}

/// npm as the person who runs the test has set it up; absent: there is none here.
std::optional<fixtures::CommandResult> host_npm(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "npm");
  // A cache of its own: npm keeps logs there, and a personal one is none of a test's business.
  const fixtures::TemporaryDirectory cache;
  std::vector<std::string> environment = {"npm_config_cache=" + cache.path().string()};
  for (const char* name : {"PATH", "HOME", "NPM_CONFIG_REGISTRY", "npm_config_registry",
                           "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"})
    if (const auto value = variable(name); !value.empty())
      environment.push_back(std::string(name) + "=" + value);
  if (const auto bundle = trusted_bundle(); !bundle.empty())
    environment.push_back("NODE_EXTRA_CA_CERTS=" + bundle.string());
  auto ran = fixtures::run_command({.argv = std::move(arguments), .environment = environment});
  if (!ran) return std::nullopt;
  return std::move(*ran);
}

/// Empty: npm's own default.
std::string registry() {
  if (const auto asked = host_npm({"config", "get", "registry"}); asked && asked->exit_code == 0)
    return asked->out.substr(0, asked->out.find('\n'));
  const auto upper = variable("NPM_CONFIG_REGISTRY");
  return upper.empty() ? variable("npm_config_registry") : upper;
}

/// Why the agent cannot be installed; empty: it can, as far as can be told from outside.
std::string registry_objection() {
  const auto pinged = host_npm({"ping", "--fetch-retries=0", "--fetch-timeout=20000"});
  if (pinged && pinged->exit_code != 0) return "npm ping fails: " + pinged->err;
  if (!pinged && !variable("FLOW_RUNNER_OFFLINE").empty())
    return "no npm here answers the question for a registry";
  return {};
}

/// Looks through all command lines of this host while it lives.
class ArgumentWatch {
 public:
  explicit ArgumentWatch(std::vector<std::string> secrets)
      : secrets_(std::move(secrets)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

  struct Seen {
    std::set<std::string> programs;  ///< base names
    std::set<std::string> leaks;     ///< programs with a secret among their arguments
  };
  Seen stop() {
    thread_.request_stop();
    thread_.join();
    return seen_;
  }

 private:
  void run(const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    while (!never.wait_for(lock, stop, 20ms, [&] { return stop.stop_requested(); })) look();
  }
  void look() {
    for (const auto& process : fs::directory_iterator("/proc")) {
      if (std::atoi(process.path().filename().c_str()) == 0) continue;
      // A process that has just ended has none.
      const auto arguments = read_file(process.path() / "cmdline", 4U << 20);
      if (!arguments || arguments->empty()) continue;
      const auto name = fs::path(arguments->substr(0, arguments->find('\0'))).filename().string();
      seen_.programs.insert(name);
      for (const auto& secret : secrets_)
        if (arguments->find(secret) != std::string::npos) seen_.leaks.insert(name);
    }
  }

  std::vector<std::string> secrets_;
  Seen seen_;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("claude: our flow runs the real agent, and its file is on the workload branch") {
  if (const auto objection = registry_objection(); !objection.empty()) {
    const bool offline = !variable("FLOW_RUNNER_OFFLINE").empty();
    REQUIRE_MESSAGE(offline, objection << "; set FLOW_RUNNER_OFFLINE to go without this test");
    MESSAGE("SKIPPED, FLOW_RUNNER_OFFLINE is set: " << objection);
    return;
  }
  ExecFixture test;
  const auto loaded = e2e::shared_state().load_image("debian-node");
  REQUIRE_MESSAGE(loaded.has_value(), (loaded ? "" : loaded.error().message));
  fixtures::write_file(test.flow_file(),
                       fixtures::slurp(fixtures::source_root() / "config/flows/claude.yaml") +
                           "  - git ls-remote https://denied.example.com/x.git || true\n");

  auto server = fixtures::GitServer::start(test.folder() / "server");
  REQUIRE_MESSAGE(server.has_value(), (server ? "" : server.error().message));
  REQUIRE(server->create_repository(project, test.project().path()).has_value());
  const auto provider = fixtures::Provider::start({.file = fs::path("/builds") / project / written,
                                                   .content = content,
                                                   .key = api_key,
                                                   .record = test.folder() / "requests"});
  REQUIRE_MESSAGE(provider.has_value(), (provider ? "" : provider.error().message));
  // Two authorities: the git server's, and those behind the registry as this host sees it.
  std::string authorities = fixtures::slurp(server->ca_file());
  if (const auto bundle = trusted_bundle(); !bundle.empty()) authorities += fixtures::slurp(bundle);
  fixtures::write_file(test.folder() / "ca.pem", authorities);

  std::vector<std::string> arguments = {"--repo",
                                        server->url(project),
                                        "--push",
                                        "--workload-ref",
                                        "workloads/test",
                                        "--image",
                                        "localhost/debian-node",
                                        "--network-allow",
                                        "registries",
                                        "--network-allow",
                                        provider->url().substr(std::string("http://").size()),
                                        "--ca-file",
                                        test.folder() / "ca.pem",
                                        "--input",
                                        "Write a greeting.",
                                        "--secret",
                                        "GITLAB_TOKEN",
                                        "--secret",
                                        "ANTHROPIC_API_KEY",
                                        "--var",
                                        "ANTHROPIC_BASE_URL=" + provider->url()};
  std::vector<std::string> environment = {"GITLAB_TOKEN=" + server->push_token(),
                                          std::string("ANTHROPIC_API_KEY=") + api_key};
  if (const auto address = registry(); !address.empty()) {
    arguments.insert(arguments.end(), {"--var", "NPM_CONFIG_REGISTRY=" + address});
    environment.push_back("NPM_CONFIG_REGISTRY=" + address);
  }
  ArgumentWatch watch({api_key, server->push_token()});
  const auto ran = test.exec(std::move(arguments), std::move(environment));
  const auto seen = watch.stop();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  // The agent had what it needs, and what it was not given it did not reach.
  CHECK(ran.result["network"] == "proxy");
  CHECK_MESSAGE(ran.log_has("network: denied CONNECT denied.example.com:443"), ran.log);

  const auto pushed = fixtures::GitRepository::bare_clone(server->repository_path(project),
                                                          test.folder() / "pushed.git");
  CHECK(pushed.show("workloads/test", written) + "\n" == content);
  CHECK(pushed.id("workloads/test~1") == test.project().id("HEAD"));

  const auto requests = provider->requests();
  std::string agent;
  for (const auto& request : requests) {
    if (!request["target"].get<std::string>().starts_with("/v1/messages")) continue;
    CHECK(request["has_key"] == true);
    CHECK(request["status"] == 200);
    agent = request["user_agent"];
  }
  CHECK(agent.starts_with("claude-cli/"));
  MESSAGE("the agent: " << agent << "; " << ran.result["timings"].dump());

  CHECK(seen.programs.contains("claude"));
  CHECK(nlohmann::json(seen.leaks).dump() == "[]");
  for (const auto& secret : {std::string(api_key), server->push_token()}) {
    CHECK_FALSE(ran.log_has(secret));
    CHECK(ran.result.dump().find(secret) == std::string::npos);
    const auto found = fixtures::run_command(
        {.argv = {"grep", "-rlaF", "--exclude-dir=images", secret, e2e::shared_state().path()}});
    REQUIRE(found.has_value());
    CHECK(found->out.empty());
  }
}
