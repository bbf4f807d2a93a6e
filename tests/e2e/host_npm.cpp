#include "tests/e2e/host_npm.hpp"

#include <cstdlib>
#include <optional>
#include <system_error>
#include <vector>

#include "tests/fixtures/command.hpp"
#include "tests/fixtures/temporary_directory.hpp"

namespace flow_runner::e2e {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Absent: there is no npm here.
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

}  // namespace

fs::path trusted_bundle() {
  for (const fs::path& file :
       {fs::path(variable("SSL_CERT_FILE")), fs::path("/etc/ssl/certs/ca-certificates.crt"),
        fs::path("/etc/pki/tls/certs/ca-bundle.crt"), fs::path("/etc/ssl/cert.pem")})
    if (std::error_code ignored; fs::is_regular_file(file, ignored)) return file;
  return {};
}

std::string npm_registry() {
  if (const auto asked = host_npm({"config", "get", "registry"}); asked && asked->exit_code == 0)
    return asked->out.substr(0, asked->out.find('\n'));
  const auto upper = variable("NPM_CONFIG_REGISTRY");
  return upper.empty() ? variable("npm_config_registry") : upper;
}

std::string registry_objection() {
  const auto pinged = host_npm({"ping", "--fetch-retries=0", "--fetch-timeout=20000"});
  if (pinged && pinged->exit_code != 0) return "npm ping fails: " + pinged->err;
  if (!pinged && allowed_offline()) return "no npm here answers the question for a registry";
  return {};
}

bool allowed_offline() { return !variable("FLOW_RUNNER_OFFLINE").empty(); }

}  // namespace flow_runner::e2e
