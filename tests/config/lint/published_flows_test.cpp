// The flows that GitLab's documentation publishes: read from a folder, as they are not ours to
// copy.
#include <cstdio>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/flow_file.hpp"
#include "config/lint/lint.hpp"
#include "config/lint/report.hpp"

using namespace flow_runner;

namespace {

const std::vector<std::string> names = {"amazonq", "claude", "codex", "gemini", "opencode"};

/// The folder, or null with a word about it.
const char* published_folder() {
  const char* folder = std::getenv("FLOW_RUNNER_PUBLISHED_FLOWS");
  if (folder == nullptr) {
    MESSAGE(
        "skipped: set FLOW_RUNNER_PUBLISHED_FLOWS to a folder with the published flows "
        "(amazonq.yaml, claude.yaml, codex.yaml, gemini.yaml, opencode.yaml)");
  }
  return folder;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  INFO(path.string());
  REQUIRE(stream.good());
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string lines_of(const std::vector<lint::Finding>& findings) {
  std::string lines;
  for (const lint::Finding& finding : findings) {
    lines += std::string(finding.rule) + " " + std::to_string(finding.line) + " " +
             std::string(to_string(finding.severity)) + (finding.fixable ? " fixable\n" : " -\n");
  }
  return lines;
}

bool bash_takes(const std::string& script) {
  std::FILE* bash = ::popen("bash -n", "w");
  REQUIRE(bash != nullptr);
  std::fwrite(script.data(), 1, script.size(), bash);
  return ::pclose(bash) == 0;
}

}  // namespace

TEST_CASE("published flows: the findings are the expected ones") {
  const char* folder = published_folder();
  if (folder == nullptr) return;
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto findings = lint::lint_flow(read(std::filesystem::path(folder) / (name + ".yaml")));
    const std::filesystem::path expected = std::filesystem::path(FLOW_RUNNER_SOURCE_FOLDER) /
                                           "tests/config/lint" / (name + ".expected");
    CHECK(lines_of(findings) == read(expected));
  }
}

TEST_CASE("published flows: mended, they have no error, and bash takes each command") {
  const char* folder = published_folder();
  if (folder == nullptr) return;
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string bytes = read(std::filesystem::path(folder) / (name + ".yaml"));
    const lint::Fixed fixed = lint::fix_flow(bytes);
    const auto left = lint::lint_flow(fixed.bytes);
    INFO(lint::format_text({{name, left}}));
    CHECK_FALSE(lint::reaches(left, lint::Severity::error));
    CHECK(fixed.count > 0);
    const FlowFile file = parse_flow(fixed.bytes, name);
    REQUIRE(file.flow.has_value());
    CHECK(file.diagnostics.empty());
    for (const std::string& command : file.flow->commands) {
      CAPTURE(command);
      CHECK(bash_takes(command));
    }
    // The agent still runs, and nothing is pushed by hand.
    CHECK(fixed.bytes.find("AI_FLOW_INPUT") != std::string::npos);
    CHECK(fixed.bytes.find("git push") == std::string::npos);
    CHECK(lint::fix_flow(fixed.bytes).bytes == fixed.bytes);
  }
}
