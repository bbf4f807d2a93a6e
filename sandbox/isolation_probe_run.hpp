// The half of the isolation probe that runs in namespaces of its own.
#pragma once

#include "config/result.hpp"
#include "sandbox/isolation_probe.hpp"

namespace flow_runner {

/// Before: PID 1 of fresh PID, network and IPC namespaces, in the mount namespace of the caller,
/// which is left. The outcome of every probe asked for; one that gave none did not run.
Result<IsolationReport> run_isolation_probe(const IsolationProbeSpec& spec);

}  // namespace flow_runner
