// Lint fixture: a script as the one command of a flow, and what the linter says about it.
#pragma once

#include <algorithm>
#include <doctest/doctest.h>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "config/flow_file.hpp"
#include "config/lint/lint.hpp"

namespace flow_runner::lint {

inline constexpr int first_script_line = 4;

/// The script in a literal block whose first line is first_script_line of the file.
inline std::string flow_of(std::string_view script,
                           const std::vector<std::string>& variables = {}) {
  std::string bytes = "image: node:22-slim\ncommands:\n  - |\n    ";
  for (const char c : script) bytes += c == '\n' ? "\n    " : std::string(1, c);
  bytes += "\n  - agent-that-works\n";
  if (!variables.empty()) bytes += "variables:\n";
  for (const std::string& name : variables) bytes += "  - " + name + "\n";
  return bytes;
}

/// The findings of a rule as `line:column severity`, lines counted from the script's first.
inline std::vector<std::string> places(std::string_view rule, std::string_view bytes) {
  std::vector<std::string> seen;
  for (const Finding& finding : lint_flow(bytes)) {
    if (finding.rule != rule) continue;
    seen.push_back(std::to_string(finding.line - first_script_line + 1) + ":" +
                   std::to_string(finding.column - 4) + " " +
                   std::string(to_string(finding.severity)));
  }
  return seen;
}

/// The script after --fix.
inline std::string fixed_script(std::string_view bytes) {
  const FlowFile file = parse_flow(fix_flow(bytes).bytes, "f");
  if (!file.flow) return "(no flow)";
  std::string script = file.flow->commands.front();
  if (script.ends_with('\n')) script.pop_back();
  return script;
}

struct Row {
  std::string script;
  std::vector<std::string> found = {};
  std::string fixed = {};  ///< empty: --fix changes nothing
};

inline void check_rows(std::string_view rule, std::initializer_list<Row> rows,
                       const std::vector<std::string>& variables = {}) {
  for (const Row& row : rows) {
    CAPTURE(row.script);
    const std::string bytes = flow_of(row.script, variables);
    REQUIRE(parse_flow(bytes, "f").flow.has_value());
    CHECK(places(rule, bytes) == row.found);
    CHECK(fixed_script(bytes) == (row.fixed.empty() ? row.script : row.fixed));
  }
}

}  // namespace flow_runner::lint

namespace doctest {
template <>
struct StringMaker<std::vector<std::string>> {
  static String convert(const std::vector<std::string>& values) {
    std::string text = "[";
    for (const std::string& value : values) text += value + ", ";
    return (text + "]").c_str();
  }
};
}  // namespace doctest
