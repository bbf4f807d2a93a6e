// What doctor found, as text for a person and as JSON for a program. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "config/result.hpp"
#include "sandbox/host_check.hpp"
#include "sandbox/isolation_probe.hpp"

namespace flow_runner::cli {

struct DoctorReport {
  std::vector<HostFact> host;
  NetworkMode network = NetworkMode::proxy;
  std::optional<Result<IsolationReport>> probe;
  /// Of prove_probes: `open` is what each should be.
  std::optional<Result<std::vector<ProbeOutcome>>> self_check;
};

/// Whether jobs can run and nothing is open; a probe that gave no answer is open.
bool is_healthy(const DoctorReport& report);

/// {schema: 1, healthy, host: [{name, state, detail, cure}], network, probe: {layers,
/// missing_layers, probes: [{id, tries, verdict, detail, closed_by}]} or {error}, self_check: [{id,
/// shown, detail}] or {error}}; what was not asked for is null.
nlohmann::json doctor_json(const DoctorReport& report);
std::string doctor_text(const DoctorReport& report);

}  // namespace flow_runner::cli
