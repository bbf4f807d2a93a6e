// Masked output: a result and a journal entry as they may leave the executor.
#pragma once

#include <nlohmann/json.hpp>

#include "executor/job_result.hpp"
#include "executor/masker.hpp"

namespace flow_runner {

/// Masks every text of `result` that somebody else chose. What we name ourselves stays (ids, hosts,
/// paths of our own, layers): a short secret that happens to be such a word must not make the
/// result unreadable.
void mask_result(JobResult& result, const MaskerPatterns& patterns);

/// Masks every string in `data`, its keys not.
void mask_strings(nlohmann::json& data, const MaskerPatterns& patterns);

}  // namespace flow_runner
