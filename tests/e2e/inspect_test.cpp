// Looking inside: what show tells of a job, running one again, and what stays of it.
#include <doctest/doctest.h>
#include <string>

#include "tests/e2e/exec_fixture.hpp"

using namespace flow_runner;
using e2e::ExecFixture;

namespace {

nlohmann::json shown(const ExecFixture& test, const std::string& id) {
  const auto ran = test.run({"show", id, "--json"});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.err);
  return nlohmann::json::parse(ran.out);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("show: status, phases, a denied host, changes and the next commands are told") {
  ExecFixture test;
  test.flow(
      {"exec 3<>/dev/tcp/127.0.0.1/3128",
       "printf 'CONNECT denied.example:443 HTTP/1.1\\r\\nHost: denied.example:443\\r\\n\\r\\n' "
       ">&3; head -n 1 <&3",
       "echo new > new.txt; false"});
  const auto ran = test.push();
  CHECK(ran.exit_code == 1);
  const std::string id = ran.result["id"];
  const auto text = test.run({"show", id});
  CHECK(text.exit_code == 0);
  CHECK(has(text.out, "failed (script_failure, exit code 1)"));
  CHECK(has(text.out, "  script    "));
  CHECK(has(text.out, "  denied    denied.example:443  1 time: "));
  CHECK(has(text.out, "  A new.txt"));
  CHECK(has(text.out, "flow-runner publish " + id));
  const auto document = shown(test, id);
  CHECK(document["cause"] == "script_failure");
  CHECK(document["network_use"]["denied"] == 1);
  CHECK(document["network_use"]["hosts"][0]["host"] == "denied.example:443");
  CHECK(document["work"]["where"] == "bundle");
}
