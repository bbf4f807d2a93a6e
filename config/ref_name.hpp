// Ref names: which names git accepts, and the full name of the ref that a job publishes to.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// Longest ref name that we accept, in bytes. Git knows no limit, file systems do.
inline constexpr std::size_t max_ref_name_bytes = 1024;

/// Checks a full name such as `refs/heads/x`: git-check-ref-format(1), and UTF-8, and
/// max_ref_name_bytes. Below `refs/heads/` the rest must be a branch name too. Errors:
/// invalid_input, saying which rule.
Result<void> check_full_ref(std::string_view ref);

/// Checks a branch name without `refs/heads/`: the same, and not `HEAD` and no `-` in front.
Result<void> check_branch_name(std::string_view name);

/// The ref that a CI_WORKLOAD_REF stands for: `workloads/x` is the branch `refs/heads/workloads/x`,
/// a name under `refs/` is taken as given. The result is valid by check_full_ref. Errors:
/// invalid_input.
Result<std::string> full_ref(std::string_view workload_ref);

}  // namespace flow_runner
