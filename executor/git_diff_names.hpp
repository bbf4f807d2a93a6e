// The paths that differ between two trees, with ids and modes: shared by diff and apply.
#pragma once

#include <string>
#include <vector>

#include "config/result.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

enum class DiffPurpose { names, text };

struct ChangedEntry {
  Change change;
  git_oid old_id{};
  git_oid new_id{};
  std::uint32_t old_mode = 0;  ///< 0: not there
  std::uint32_t new_mode = 0;
};

/// The tree of the commit with this id (40 hex).
Result<GitTree> tree_of_commit(git_repository& repository, const std::string& hex);

/// No renames. At most max_diff_paths paths.
Result<GitDiff> diff_trees(git_repository& repository, git_tree& from, git_tree& to,
                           DiffPurpose purpose);

/// Sorted by path; of a diff made for `names`.
std::vector<ChangedEntry> changed_entries(git_diff& diff);

}  // namespace flow_runner
