// Repository refs: which commit a job means by its ref, as the remote's list tells.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/git_output.hpp"

namespace flow_runner {

/// What a job needs from its repository.
struct RepositoryTips {
  std::string commit;
  std::string default_branch;  ///< short; empty: the remote's HEAD names none
  std::optional<std::string> default_tip;
  std::optional<std::string> workload_tip;
};

/// The names to ask the remote for, beside HEAD. `workload_ref` is a full ref, or empty.
/// invalid_input: a ref of the job's is not a name that git accepts (a shortened commit is told
/// apart only by the remote).
Result<std::vector<std::string>> names_to_ask(const RepositorySpec& spec,
                                              std::string_view workload_ref);

/// A ref means, in this order: a whole commit id, a full ref, a branch, a tag; empty is HEAD.
/// not_found names what is missing and where; `where` is the remote's address.
Result<RepositoryTips> choose_tips(const RepositorySpec& spec, std::string_view workload_ref,
                                   const RemoteRefs& refs, std::string_view where);

}  // namespace flow_runner
