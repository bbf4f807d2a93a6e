// Isolation probe: tries to get out of a real sandbox of this host, and tells which ways were open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/flow.hpp"
#include "config/result.hpp"
#include "sandbox/probe/probe_table.hpp"

namespace flow_runner {

enum class ProbeVerdict : std::uint8_t {
  closed,
  open,
  not_run,  ///< something was missing for the attempt: nothing is proven, so it counts as open
};
std::string_view to_string(ProbeVerdict verdict);

struct ProbeOutcome {
  std::string_view id;  ///< of the table
  ProbeVerdict verdict = ProbeVerdict::not_run;
  std::string detail;  ///< what the attempt met
};

struct IsolationProbeSpec {
  NetworkMode network = NetworkMode::proxy;  ///< not `host`: there is no wall to try
  /// Empty folder on the disk where jobs have their overlays; emptied again.
  std::filesystem::path folder;
  std::filesystem::path programs;  ///< where flow-runner-probe and flow-runner-proxy are
  std::vector<std::string> required_layers = {"all"};
  LayerSet taken_away;                 ///< to see that the probes notice
  std::vector<std::string_view> only;  ///< of the table; empty: all
};

struct IsolationReport {
  std::vector<ProbeOutcome> probes;  ///< in the table's order
  std::vector<std::string> layers;   ///< in force
  std::vector<std::string> missing_layers;
};

/// Runs flow-runner-probe in the sandbox that a job would get, in a process of its own in PID,
/// mount, network and IPC namespaces that stand for the host: there listen what the probes look
/// for, and nothing reaches the real host's network. A probe writes nothing outside: where success
/// would do harm it opens, and does not write; it signals with 0. Takes about a second, at most two
/// minutes. Before: a single thread; root of the host or of a namespace (see rootless.hpp). Errors:
/// why the sandbox was refused; what was missing.
Result<IsolationReport> probe_isolation(const IsolationProbeSpec& spec);

/// What has to be taken away in this mode so that the probe comes out open; empty: nothing can.
LayerSet layers_closing(const ProbeEntry& probe, NetworkMode network);

/// Whether the kernel of this host has no such way, or closes it to everybody without rights:
/// nothing of ours can be shown by it then.
bool is_closed_by_kernel(std::string_view id);

/// Runs each probe once more without the layers that close it: those that still come out closed
/// prove nothing on this host (without root most of what the user namespace closes, for example,
/// as an ordinary user may not do it anyway). Of the table's order; without those that no layer
/// closes, or the kernel does. Ends at the first error. A run of probe_isolation for each set of
/// layers: some 15.
Result<std::vector<ProbeOutcome>> prove_probes(const IsolationProbeSpec& spec);

}  // namespace flow_runner
