// Looking inside: what show tells of a job, running one again, and what stays of it.
#include <doctest/doctest.h>
#include <filesystem>
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

TEST_CASE("exec --from-job: an earlier job runs again, by its id and from a copied folder") {
  ExecFixture test;
  fixtures::write_file(test.project().path() / "README.md", "Edited\n");
  test.flow({"cat README.md; echo \"$AI_FLOW_INPUT $AI_FLOW_EVENT $PLAIN ${MY_KEY:-no key}\"",
             "echo more >> README.md"},
            {"PLAIN", "MY_KEY"});
  const auto first = test.exec({"--repo", test.project().path(), "--input", "mend", "--event",
                                "assign", "--var", "PLAIN=plain", "--secret", "MY_KEY"},
                               {"MY_KEY=hunter2hunter2"});
  REQUIRE_MESSAGE(first.exit_code == 0, first.log);
  const std::string id = first.result["id"];
  // What the person has done since is not what the earlier job saw.
  fixtures::write_file(test.project().path() / "README.md", "Edited again\n");
  const auto again = test.exec({"--from-job", id});
  REQUIRE_MESSAGE(again.exit_code == 0, again.log);
  CHECK(again.log_has("Edited\nmend assign plain no key\n"));
  CHECK(again.log_has("--secret MY_KEY"));
  CHECK(again.result["base"] == first.result["base"]);
  CHECK(again.result["image"]["digest"] == first.result["image"]["digest"]);
  CHECK(again.changes() == std::vector<std::string>{"M README.md"});

  const auto refused = test.run({"publish", again.result["id"].get<std::string>()});
  CHECK(refused.exit_code == 64);
  CHECK(has(refused.err, "--include-uncommitted"));

  const auto copy = test.folder() / "copied";
  std::filesystem::copy(e2e::shared_state().path() / "jobs" / id, copy);
  const auto copied = test.exec({"--from-job", copy, "--repo", test.project().path(), "--input",
                                 "other", "--secret", "MY_KEY"},
                                {"MY_KEY=hunter2hunter2"});
  REQUIRE_MESSAGE(copied.exit_code == 0, copied.log);
  CHECK(copied.log_has("Edited again\nother assign plain [MASKED]\n"));
  CHECK(copied.log_has("uncommitted files, which are not here"));
}
