// JobWork: where a finished job's work is, and the commands that go on from there. Pure.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/job.hpp"
#include "executor/job_directory.hpp"
#include "executor/job_result.hpp"

namespace flow_runner::cli {

/// A command as a person would paste it into a shell.
struct NextStep {
  std::string does;  ///< `fetch`, `see`, `apply`, `publish`, …
  std::string command;
};

struct JobWork {
  std::string where;  ///< nothing | pushed | bundle | workspace
  std::vector<NextStep> steps;
};

/// `state_option` is what the commands need to find the state folder: ` --state-dir DIR`, or empty
/// for the default one. `job` gives the target's address; without it that step is left out.
JobWork job_work(const JobResult& result, const Job* job, const std::string& state_option);

/// ` --state-dir DIR` unless it is the default one.
std::string state_option(const StateDirectory& state);

nlohmann::json to_json(const JobWork& work);

}  // namespace flow_runner::cli
