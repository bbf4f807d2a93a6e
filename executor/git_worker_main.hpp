// The git worker's main: one request in, lines of answer out.
#pragma once

#include <string>

#include "config/result.hpp"

namespace flow_runner {

/// Requests are a few paths and ids; the message of a commit may be longer.
inline constexpr std::size_t max_git_request_bytes = 4U << 20;

/// Reads one request from `input` to its end, does what it asks, and writes the answer to `output`;
/// see git_protocol.hpp. Returns the exit code: 0 when a result was written, 1 for an error event,
/// 2 when nobody reads the answer. Sets the process's limits, so it is called once.
int git_worker_main(int input, int output);

}  // namespace flow_runner
