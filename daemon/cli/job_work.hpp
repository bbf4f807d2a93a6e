// JobWork: where a finished job's work is, and the commands that go on from there. Pure.
#pragma once

#include <optional>
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

/// A workspace that stayed behind when its job ended.
struct KeptWorkspace {
  std::string path;
  std::string root;        ///< what the job wrote elsewhere in the container; empty: it is gone
  bool only_copy = false;  ///< it holds work that is nowhere else
  std::string mount;       ///< a command that shows it whole, for root; empty: it is whole
};

/// From a finished job's journal, if the folder is still there.
std::optional<KeptWorkspace> kept_workspace(const JobDirectory& directory,
                                            const std::vector<JournalEntry>& journal);

struct JobWork {
  std::string where;  ///< nothing | pushed | bundle | workspace
  std::vector<NextStep> steps;
  std::optional<KeptWorkspace> workspace{};
};

/// `state_option` is what the commands need to find the state folder: ` --state-dir DIR`, or empty
/// for the default one. `workspace` is told with the commands that look at it and remove it. `job`
/// gives the target's address; without it that step is left out.
JobWork job_work(const JobResult& result, const Job* job, const std::string& state_option,
                 const std::optional<KeptWorkspace>& workspace = std::nullopt);

/// ` --state-dir DIR` unless it is the default one.
std::string state_option(const StateDirectory& state);

nlohmann::json to_json(const JobWork& work);

}  // namespace flow_runner::cli
