// diff_commits: the changes between two commits as a patch and as names.
#pragma once

#include <cstddef>

#include "config/result.hpp"
#include "executor/git_content_sink.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

/// More changed paths are refused.
inline constexpr std::size_t max_diff_paths = 200'000;

/// See DiffRequest: what `git diff --binary --full-index --no-renames old new` prints, given to
/// `sink` in pieces of the kind `patch`, and the paths. Before: libgit2 is initialised
/// (GitLibrary). Errors: invalid_input (a commit id, a limit), not_found, internal.
Result<DiffInfo> diff_commits(const DiffRequest& request, ContentSink& sink);

}  // namespace flow_runner
