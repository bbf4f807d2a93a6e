// Job JSON: a Job as one versioned JSON object, for the socket (with secrets) and for disk
// (without).
#pragma once

#include <cstdint>

#include <nlohmann/json_fwd.hpp>

#include "config/job.hpp"
#include "config/result.hpp"

namespace flow_runner {

/// Whether to_json writes secrets. `omit` leaves out the repository's token, every variable that
/// is_secret, and every other one whose value contains such a secret or a URL's password.
enum class Secrets : std::uint8_t { include, omit };

/// Writes a job: `version` 1, durations in milliseconds, text that is not UTF-8 as {"base64": …}.
/// With Secrets::omit, `omitted_variables` names what was left out.
nlohmann::json to_json(const Job& job, Secrets secrets);

/// Reads what to_json wrote. Unknown keys are ignored, absent ones keep the default of job.hpp; a
/// wrong type, range or enum value, an id that cannot name a directory, or another version is
/// invalid_input, naming the key. No exception but std::bad_alloc.
Result<Job> job_from_json(const nlohmann::json& json);

}  // namespace flow_runner
