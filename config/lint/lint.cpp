#include "config/lint/lint.hpp"

#include <algorithm>
#include <array>

#include "config/diagnostic.hpp"
#include "config/flow_file.hpp"
#include "config/lint/rules.hpp"

namespace flow_runner::lint {
namespace {

constexpr std::array checks = {
    check_syntax,   check_options, check_test_operators, check_push_tail, check_workload_ref,
    check_urls,     check_secrets, check_written_values, check_prompts,   check_variables,
    check_installs, check_image,   check_agent_flags};

std::vector<Finding> structural(std::string_view bytes) {
  std::vector<Finding> findings;
  const SourceLines lines(bytes);
  for (const Diagnostic& diagnostic : parse_flow(bytes, {}).diagnostics) {
    Finding finding;
    finding.rule = "flow-file";
    finding.severity =
        diagnostic.severity == flow_runner::Severity::error ? Severity::error : Severity::warning;
    finding.offset = lines.offset(diagnostic.line, diagnostic.column);
    finding.line = diagnostic.line;
    finding.column = diagnostic.column;
    finding.message = diagnostic.message;
    findings.push_back(std::move(finding));
  }
  return findings;
}

/// What another finding's fix removes is mended by it.
void mark_removed(std::vector<Finding>& findings) {
  std::vector<Edit> removals;
  for (const Finding& finding : findings) {
    for (const Edit& edit : finding.fix) {
      if (edit.text.empty() && edit.begin < edit.end) removals.push_back(edit);
    }
  }
  for (Finding& finding : findings) {
    finding.fixable =
        finding.fixable ||
        (finding.line > 0 && std::any_of(removals.begin(), removals.end(), [&](const Edit& edit) {
           return edit.begin <= finding.offset && finding.offset < edit.end;
         }));
  }
}

}  // namespace

std::vector<Finding> lint_flow(std::string_view bytes) {
  std::vector<Finding> findings = structural(bytes);
  DiagnosticList ignored;
  const YamlLimits limits{.max_bytes = max_flow_file_bytes};
  const YamlNodePtr root = read_yaml(bytes, limits, ignored);
  if (!root || root->kind != YamlNode::Kind::mapping) return findings;
  const Subject subject(bytes, *root);
  Findings more(subject.lines);
  for (const auto check : checks) check(subject, more);
  const auto found = more.take();
  findings.insert(findings.end(), found.begin(), found.end());
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  mark_removed(findings);
  return findings;
}

bool reaches(const std::vector<Finding>& findings, Severity level) noexcept {
  return std::any_of(findings.begin(), findings.end(),
                     [level](const Finding& finding) { return finding.severity <= level; });
}

}  // namespace flow_runner::lint
