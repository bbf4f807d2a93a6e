// apply_changes: brings what differs between two commits into the files of a local folder.
#pragma once

#include <cstdint>

#include "config/result.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

/// One file that has to be compared or merged, and the merged contents together, are held in
/// memory.
inline constexpr std::uint64_t max_applied_file_bytes = 256ULL << 20;
inline constexpr std::uint64_t max_merged_bytes = 256ULL << 20;

/// See ApplyRequest. Before: libgit2 is initialised (GitLibrary); nobody else writes to the work
/// tree.
///
/// The paths and contents are the agent's: git's own folder, `..` and whatever lies behind a
/// symbolic link are never written. A file that is as old_commit has it is replaced; one that is as
/// new_commit has it stays; one that differs from both is merged line by line. Anything that does
/// not go together (an unlike file in the way, overlapping lines, changed binary files, submodules)
/// is a conflict, and then nothing is touched. New contents are first written to a folder
/// `.flow-runner-apply-…` in the work tree, then renamed into place. No conversion (eol, filters)
/// is done.
///
/// Errors: invalid_input (a commit id, a path or size that is refused), not_found, denied,
/// unavailable (disk full), internal. One that comes after the first rename names the path and says
/// that a part was applied; applying again continues.
Result<ApplyInfo> apply_changes(const ApplyRequest& request);

}  // namespace flow_runner
