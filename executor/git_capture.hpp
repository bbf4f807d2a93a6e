// capture_work_tree: a local repository's HEAD plus its uncommitted files, as a commit in the
// mirror.
#pragma once

#include <cstdint>

#include "config/result.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

/// All uncommitted files together; more is refused, with advice.
inline constexpr std::uint64_t max_captured_bytes = 2ULL << 30;

/// See CaptureRequest. Before: libgit2 is initialised (GitLibrary). What the mirror lacks of HEAD
/// is read from the source repository and not copied: whoever wants to use the new commit fetches
/// HEAD into the mirror first. The source repository is only read, its index is not refreshed.
///
/// Tracked files are taken as they lie there, without any conversion; untracked ones unless ignored
/// (by the user's own excludes too, see GitLibrary::read_user_configuration). Submodules stay at
/// HEAD's commit; pipes, sockets, devices and untracked nested repositories are left out. Author,
/// committer and time (HEAD's) are fixed, so the same content always gives the same commit.
///
/// Errors: not_found (no repository, no commit yet), invalid_input (too large), unavailable (a file
/// changed while it was read), denied (a file cannot be read), internal.
Result<CaptureInfo> capture_work_tree(const CaptureRequest& request);

}  // namespace flow_runner
