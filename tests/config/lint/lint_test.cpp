#include "config/lint/lint.hpp"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "config/lint/report.hpp"
#include "config/lint/rules.hpp"
#include "tests/config/lint/lint_fixture.hpp"

using namespace flow_runner::lint;
using nlohmann::json;

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  REQUIRE(stream.good());
  return {std::istreambuf_iterator<char>(stream), {}};
}

const std::filesystem::path source_folder = FLOW_RUNNER_SOURCE_FOLDER;

}  // namespace

TEST_CASE("lint: what the flow file itself gets wrong is a finding with its place") {
  const auto findings = lint_flow("image: a:1\ncomands: []\ncommands: x\n");
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].rule == "flow-file");
  CHECK(findings[0].severity == Severity::warning);
  CHECK(findings[0].line == 2);
  CHECK(findings[1].severity == Severity::error);
  CHECK(findings[1].line == 3);
  CHECK(findings[1].column == 11);
  CHECK(lint_flow(std::string(70'000, ' ')).front().line == 0);
  CHECK(lint_flow("a: [").front().rule == "flow-file");
  CHECK_FALSE(lint_flow("").empty());
}

TEST_CASE("lint: a finding has its own line in every style of scalar") {
  for (const char* command :
       {"|\n      true\n      [ --zero a ]\n", ">\n      true;\n      [ --zero a ]\n",
        "|-\n\n      [ --zero a ]", "'true;\n\n      [ --zero a ]'\n",
        "\"true;\\\n      \\\n      [ --zero a ]\"\n", "true;\n\n      [ --zero a ]\n"}) {
    const std::string bytes = "image: a:1\ncommands:\n    - " + std::string(command);
    CAPTURE(bytes);
    const auto at = bytes.find("--zero");
    const auto line = std::count(bytes.begin(), bytes.begin() + static_cast<long>(at), '\n') + 1;
    const auto findings = lint_flow(bytes);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].line == line);
    CHECK(findings[0].column == 9);
    const std::string fixed = fix_flow(bytes).bytes;
    std::string wanted = bytes;
    wanted.replace(at, 6, "-z");
    CHECK(fixed == wanted);
  }
}

TEST_CASE("lint: a fix is written in the style of its scalar") {
  const auto fixed = [](const std::string& command) {
    return fix_flow("image: a:1\ncommands:\n- " + command + "\nvariables: [X]\n").bytes;
  };
  CHECK(fixed("'echo $X > f'").find("- 'printf ''%s\\n'' \"$X\" > f'\n") != std::string::npos);
  CHECK(fixed("\"echo $X > f\"").find(R"(- "printf '%s\\n' \"$X\" > f")") != std::string::npos);
  CHECK(fixed("echo $X > f # why").find("- printf '%s\\n' \"$X\" > f # why\n") !=
        std::string::npos);
}

TEST_CASE("lint: setup is looked at as commands are, and runs before them") {
  const auto findings = lint_flow(
      "image: a:1\ncommands: ['echo $A']\nx-flow-runner:\n  setup:\n    - A=1\n    - [ '[ --zero x "
      "]' ]\n");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].line == 6);
}

TEST_CASE("lint: an aliased command is found once, and is not removed") {
  const std::string bytes = "image: a:1\ncommands:\n  - &c '[ --zero a ]'\n  - *c\n  - tool\n";
  std::size_t found = 0;
  for (const Finding& finding : lint_flow(bytes)) found += finding.rule == "test-operator";
  CHECK(found == 1);
  CHECK(fix_flow(bytes).bytes == "image: a:1\ncommands:\n  - &c '[ -z a ]'\n  - *c\n  - tool\n");
}

TEST_CASE("lint: CRLF and a byte order mark stay") {
  const std::string bytes =
      "\xEF\xBB\xBFimage: a:1\r\ncommands:\r\n  - |\r\n    true\r\n    [ --zero a ]\r\n";
  const auto findings = lint_flow(bytes);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].line == 5);
  CHECK(findings[0].column == 7);
  CHECK(fix_flow(bytes).bytes ==
        "\xEF\xBB\xBFimage: a:1\r\ncommands:\r\n  - |\r\n    true\r\n    [ -z a ]\r\n");
}

TEST_CASE("lint: a file without fixes, and one that is no flow, stay as they are") {
  for (const char* bytes : {"image: a:1\ncommands:  [ tool ]   # x\n\n", "a: [", "", "- \xFF"}) {
    const Fixed fixed = fix_flow(bytes);
    CHECK(fixed.bytes == bytes);
    CHECK(fixed.count == 0);
  }
}

TEST_CASE("lint: every flow that comes with flow-runner is free of errors") {
  std::size_t flows = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_folder / "config/flows")) {
    CAPTURE(entry.path());
    const auto findings = lint_flow(read(entry.path()));
    INFO(format_text({{entry.path().string(), findings}}));
    CHECK_FALSE(reaches(findings, Severity::error));
    ++flows;
  }
  CHECK(flows > 0);
}

TEST_CASE("lint: the README explains every rule") {
  const std::string readme = read(source_folder / "README.md");
  std::set<std::string_view> ids;
  for (const Rule& rule : rules()) {
    CAPTURE(rule.id);
    CHECK(ids.insert(rule.id).second);
    CHECK(readme.find("| `" + std::string(rule.id) + "` |") != std::string::npos);
  }
}

TEST_CASE("lint report: a line for each finding, and an indented cure") {
  const auto findings = lint_flow("image: a:1\ncommands: ['[ --zero x ]']\n");
  CHECK(format_text({{"dir/f.yml", findings}}) ==
        "dir/f.yml:2:15: error: `[` has no operator `--zero`: it is an error, which `if` takes for "
        "\"no\" [test-operator]\n    write `-z` (--fix mends it)\n");
  const auto whole = lint_flow(std::string(70'000, ' '));
  CHECK(format_text({{"f", whole}}).starts_with("f: error: the file is larger"));
}

TEST_CASE("lint report: JSON has exactly the promised keys") {
  const auto findings = lint_flow("image: a:1\ncommands: ['[ --zero x ]']\n");
  const json array = json::parse(format_json({{"a\xFF.yml", findings}}));
  REQUIRE(array.size() == 1);
  CHECK(array[0].size() == 7);
  CHECK(array[0]["file"] == "a\xEF\xBF\xBD.yml");
  CHECK(array[0]["line"] == 2);
  CHECK(array[0]["column"] == 15);
  CHECK(array[0]["rule"] == "test-operator");
  CHECK(array[0]["severity"] == "error");
  CHECK(array[0]["message"] == findings[0].message);
  CHECK(array[0]["fixable"] == true);
  CHECK(json::parse(format_json({})) == json::array());
}

TEST_CASE("lint report: SARIF names its rules, and places without a line have no region") {
  const json sarif =
      json::parse(format_sarif({{"a b.yml", lint_flow("image: a:1\ncommands: ['[ --zero x ]']\n")},
                                {"large", lint_flow(std::string(70'000, ' '))}}));
  CHECK(sarif["version"] == "2.1.0");
  REQUIRE(sarif["runs"].size() == 1);
  const json& run = sarif["runs"][0];
  CHECK(run["tool"]["driver"]["name"] == "flow-runner");
  CHECK(run["tool"]["driver"]["rules"].size() == rules().size());
  REQUIRE(run["results"].size() == 2);
  const json& first = run["results"][0];
  CHECK(first["ruleId"] == "test-operator");
  CHECK(first["level"] == "error");
  CHECK(first["message"]["text"].get<std::string>().find("(write `-z`)") != std::string::npos);
  const json& place = first["locations"][0]["physicalLocation"];
  CHECK(place["artifactLocation"]["uri"] == "a%20b.yml");
  CHECK(place["region"] == json{{"startLine", 2}, {"startColumn", 15}});
  CHECK_FALSE(run["results"][1]["locations"][0]["physicalLocation"].contains("region"));
}
