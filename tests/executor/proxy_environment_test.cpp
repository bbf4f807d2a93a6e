#include "executor/proxy_environment.hpp"

#include <algorithm>
#include <doctest/doctest.h>

#include "executor/job_environment.hpp"

using namespace flow_runner;

namespace {

struct Environment {
  Job job;
  ResolvedVariables variables;
  ImageEnvironment image;

  [[nodiscard]] std::string get(const std::string& name) const {
    for (const std::string& entry : build_environment(job, variables, image, "/builds/x"))
      if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
    return "(none)";
  }
};

}  // namespace

TEST_CASE("proxy environment: in proxy mode, and only then, tools are told of the proxy") {
  Environment e;
  CHECK(e.get("https_proxy") == "(none)");
  e.job.network = NetworkMode::host;
  CHECK(e.get("https_proxy") == "(none)");
  e.job.network = NetworkMode::proxy;
  for (const char* name : {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
                           "all_proxy", "npm_config_https_proxy", "YARN_HTTPS_PROXY", "PIP_PROXY"})
    CHECK(e.get(name) == "http://127.0.0.1:3128");
  CHECK(e.get("no_proxy") == "localhost,127.0.0.1,::1");
  CHECK(e.get("NODE_USE_ENV_PROXY") == "1");
  CHECK(e.get("JAVA_TOOL_OPTIONS").starts_with("-Dhttp.proxyHost=127.0.0.1 "));
}

TEST_CASE("proxy environment: ours win over the image's and the job's, and Java's are kept") {
  Environment e;
  e.job.network = NetworkMode::proxy;
  e.image.environment = {"HTTP_PROXY=http://image.example.com", "JAVA_TOOL_OPTIONS=-Xmx1g"};
  const auto add = [&](const char* name, const char* value) {
    ResolvedVariable variable;
    variable.name = name;
    variable.value = Secret(value);
    e.variables.environment.push_back(std::move(variable));
  };
  add("OTHER", "x");
  CHECK(replaced_proxy_variables(e.variables).empty());
  add("https_proxy", "http://job.example.com");
  add("NO_PROXY", "*");
  CHECK(e.get("HTTP_PROXY") == "http://127.0.0.1:3128");
  CHECK(e.get("https_proxy") == "http://127.0.0.1:3128");
  CHECK(e.get("NO_PROXY") == "localhost,127.0.0.1,::1");
  CHECK(e.get("JAVA_TOOL_OPTIONS").starts_with("-Xmx1g -Dhttp.proxyHost"));
  const std::string warning = replaced_proxy_variables(e.variables);
  CHECK(warning.starts_with("the job's own https_proxy, NO_PROXY is replaced"));
  CHECK(warning.find("example.com") == std::string::npos);
}
