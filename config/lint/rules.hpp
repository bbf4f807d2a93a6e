// Lint rules: their stable names, and the families that look for them.
#pragma once

#include <span>
#include <string_view>

#include "config/lint/finding.hpp"
#include "config/lint/subject.hpp"

namespace flow_runner::lint {

struct Rule {
  std::string_view id;
  std::string_view summary;  ///< one sentence
};

/// All rules, in the order in which the README lists them.
std::span<const Rule> rules();

/// Each family looks at the whole flow and adds what it finds.
void check_syntax(const Subject& subject, Findings& findings);
void check_options(const Subject& subject, Findings& findings);
void check_test_operators(const Subject& subject, Findings& findings);
void check_push_tail(const Subject& subject, Findings& findings);
void check_workload_ref(const Subject& subject, Findings& findings);
void check_urls(const Subject& subject, Findings& findings);
void check_secrets(const Subject& subject, Findings& findings);
void check_written_values(const Subject& subject, Findings& findings);
void check_prompts(const Subject& subject, Findings& findings);
void check_variables(const Subject& subject, Findings& findings);
void check_installs(const Subject& subject, Findings& findings);
void check_image(const Subject& subject, Findings& findings);
void check_agent_flags(const Subject& subject, Findings& findings);

}  // namespace flow_runner::lint
