// The candidates of a workspace: which of its paths may have changed, told by an overlay's upper
// folder or by the change times of a plain copy.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "config/result.hpp"
#include "executor/copy_mark.hpp"
#include "executor/git_workspace_view.hpp"

namespace flow_runner {

/// What a candidate that is a folder says of the paths below it.
enum class Below {
  listed,   ///< what changed there is listed too
  missing,  ///< so it is, except for what is gone
  all,      ///< nothing is known: an opaque, redirected or renamed folder
};

/// A path that the job touched. What became of it is read from the merged workspace, so a mark here
/// that the job forged can only cost time.
struct Candidate {
  std::string path;  ///< empty: the workspace's own folder
  Below below = Below::listed;
};

struct UpperListing {
  std::vector<Candidate> candidates;  ///< sorted by path; all kinds of files, and folders
  std::vector<std::string> nested_repositories;  ///< folders with a `.git`, the top one excepted
  std::vector<std::string> too_deep;             ///< at most 20 folders whose content is not listed
};

struct UpperLimits {
  std::size_t max_candidates = 2'000'000;
  std::size_t max_total_path_bytes = 512UL << 20;
};

/// Walks the upper folder. Needs CAP_SYS_ADMIN to see the marks of a privileged overlay mount
/// (trusted.overlay.*); those of a mount with `userxattr` are seen too. Nothing named `.git` is
/// listed. Over a limit: invalid_input. A path over max_path_bytes goes to `too_deep`.
Result<UpperListing> list_upper(const WorkspaceView& upper, const UpperLimits& limits = {});

/// Walks a copy (see copy_mark.hpp): each file that was touched, and each folder whose entries
/// were. Limits, `.git` and `too_deep` as above; what is untouched does not count.
Result<UpperListing> list_copy(const WorkspaceView& copy, const CopyMark& mark,
                               const UpperLimits& limits = {});

/// Lists all below the folder `path` of the merged workspace (`path` itself not), for a whole
/// subtree; `listing` is added to, within the same limits.
Result<void> list_subtree(const WorkspaceView& merged, const std::string& path,
                          const UpperLimits& limits, UpperListing& listing);

}  // namespace flow_runner
