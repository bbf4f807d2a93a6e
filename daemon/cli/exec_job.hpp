// ExecJob: from options, flow and what was read beforehand to a Job; decides and does no I/O.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/job.hpp"
#include "config/result.hpp"
#include "config/secret.hpp"
#include "daemon/cli/exec_options.hpp"
#include "daemon/cli/local_repository.hpp"

namespace flow_runner::cli {

/// A secret as it was read.
struct GivenSecret {
  std::string name;
  Secret value;
  std::string origin;  ///< for `--plan`: "environment", "file", …
};

/// All that comes from outside: files, environment, clock, chance.
struct ExecInputs {
  Flow flow;
  std::string input, context;
  std::vector<GivenSecret> secrets;      ///< those of --secret, in order, then --git-token-from's
  std::optional<LocalRepository> local;  ///< absent: options.repo is an address
  std::vector<NetworkRule> registries;   ///< what the preset `registries` stands for here
  std::chrono::system_clock::time_point now;
  std::uint64_t chance = 0;           ///< random bits for id and ref
  std::vector<std::string> warnings;  ///< of reading all this
};

struct ExecJob {
  Job job;
  std::vector<std::string> warnings;  ///< beyond those of resolve_variables()
};

/// `20261122-143012-3f9a01`: sorts by time.
std::string make_job_id(std::chrono::system_clock::time_point now, std::uint64_t chance);

/// Whether an option or the flow names the preset `registries`, so that they must be read.
bool names_registries(const ExecOptions& options, const Flow& flow);

/// The job that `exec` runs. Errors are the user's to mend: an address, a target, a token's name.
Result<ExecJob> make_exec_job(const ExecOptions& options, const ExecInputs& inputs);

}  // namespace flow_runner::cli
