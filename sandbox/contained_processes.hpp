// Contained processes: what runs in the containers below this process, found without a cgroup.
#pragma once

#include <chrono>

#include "config/result.hpp"

namespace flow_runner {

/// Sends a signal to every process that is in a PID namespace below the caller's, which is PID 1 of
/// its own and sees nothing else: so to the job's processes, and no other. Needs the caller's own
/// /proc. A process is held by a pidfd between look and signal, so that no other gets it.
/// Returns how many there were.
std::size_t signal_contained_processes(int signal);

/// SIGKILL to all of them until none is left, looking again every 2 ms, for forks race. timed_out
/// after `deadline`.
Result<void> kill_contained_processes(std::chrono::milliseconds deadline);

}  // namespace flow_runner
