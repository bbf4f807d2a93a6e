#include "executor/proxy_environment.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "config/flow.hpp"

namespace flow_runner {
namespace {

constexpr std::array proxy_names = {
    "http_proxy",              // curl, git over http, wget, apt, pip: lower case only
    "https_proxy",             // curl, git, wget, apt, pip, Python's urllib
    "HTTP_PROXY",              // Go, Rust's reqwest, .NET: upper case first
    "HTTPS_PROXY",             // Go, Node's agents, the AWS SDKs
    "ALL_PROXY",               // curl and git for any other scheme
    "all_proxy",               // the same, as older tools spell it
    "npm_config_proxy",        // npm and pnpm: wins over an npmrc of the image
    "npm_config_https_proxy",  // the same for https registries
    "YARN_HTTP_PROXY",         // yarn 2 and later read no general variable
    "YARN_HTTPS_PROXY",        // the same for https
    "PIP_PROXY",               // pip: wins over a pip.conf of the image
};
constexpr std::array direct_names = {
    "no_proxy",            // what is in the job itself stays direct: curl, git, wget, pip
    "NO_PROXY",            // the same: Go, Node, the AWS SDKs
    "npm_config_noproxy",  // npm: wins over an npmrc of the image
};
constexpr const char* direct_hosts = "localhost,127.0.0.1,::1";
// Node's own fetch and http look at the variables above only when told to (Node 22.21, 24.5).
constexpr const char* node_switch = "NODE_USE_ENV_PROXY";
// Java, and so Gradle and Maven, reads no proxy variable; Maven's resolver wants to be told once
// more.
constexpr const char* java_options = "JAVA_TOOL_OPTIONS";

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string java_properties() {
  const std::string port = std::to_string(proxy_port_in_job);
  return "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=" + port +
         " -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=" + port +
         " -Dhttp.nonProxyHosts=localhost|127.*|[::1]"
         " -Daether.connector.http.useSystemProperties=true";
}

}  // namespace

void set_proxy_variables(std::map<std::string, std::string>& environment) {
  const std::string proxy = "http://127.0.0.1:" + std::to_string(proxy_port_in_job);
  for (const char* name : proxy_names) environment[name] = proxy;
  for (const char* name : direct_names) environment[name] = direct_hosts;
  environment[node_switch] = "1";
  std::string& java = environment[java_options];
  java += (java.empty() ? "" : " ") + java_properties();
}

std::string replaced_proxy_variables(const ResolvedVariables& variables) {
  std::string names;
  for (const ResolvedVariable& variable : variables.environment)
    if (contains(proxy_names, variable.name) || contains(direct_names, variable.name) ||
        variable.name == node_switch)
      names += (names.empty() ? "" : ", ") + variable.name;
  if (names.empty()) return names;
  return "the job's own " + names +
         " is replaced: from its network only the proxy of this runner can be reached";
}

}  // namespace flow_runner
