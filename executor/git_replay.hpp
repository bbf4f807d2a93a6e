// replay_commits: cherry-picks a line of commits onto another one, in memory.
#pragma once

#include "config/result.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

/// A longer line is refused.
inline constexpr std::size_t max_replayed_commits = 10'000;

/// See ReplayRequest. Before: libgit2 is initialised (GitLibrary); the quarantine reaches all three
/// commits. New objects go into the quarantine; no ref is moved. When `onto` is base, head itself
/// is the answer. Conflicts and merges in the line are no Error but an empty head with a reason.
///
/// Errors: invalid_input (a commit id, head does not descend from base, too long a line),
/// not_found, internal.
Result<ReplayInfo> replay_commits(const ReplayRequest& request);

}  // namespace flow_runner
