// Plan: what a job would do, in words; `exec --plan` prints it and starts nothing.
#pragma once

#include <string>
#include <vector>

#include "config/job.hpp"
#include "config/variables.hpp"

namespace flow_runner::cli {

/// Image, commands, variables with their source (a secret's value as `[MASKED]`), limits, network
/// and target. No control characters; long values are cut.
std::string plan_text(const Job& job, const ResolvedVariables& variables,
                      const std::vector<std::string>& warnings);

}  // namespace flow_runner::cli
