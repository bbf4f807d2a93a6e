// The tree that a job's workspace amounts to: git's `add -A`, made from the paths that were
// touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"
#include "executor/git_object_format.hpp"
#include "executor/git_quarantine.hpp"
#include "executor/git_upper.hpp"
#include "executor/git_workspace_view.hpp"

namespace flow_runner {

/// Paths of one kind for one sentence: the first 20, cut to 200 bytes each, and how many more.
class NamedPaths {
 public:
  void add(std::string_view path);
  /// Adds "<words>: 'a', 'b' and 3 more" to `warnings`, if there is a path.
  void report(std::string_view words, std::vector<std::string>& warnings) const;
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

 private:
  std::vector<std::string> named_;
  std::size_t count_ = 0;
};

/// What a path that is in git's tree and not in the workspace means.
enum class Missing {
  deleted,
  hidden,  ///< a sparse checkout may have taken it away: it stays in the tree
};

struct FinalTreeRequest {
  ObjectId parent_tree;                  ///< what the result is compared with
  std::optional<ObjectId> tracked_tree;  ///< paths in it count as tracked too
  UpperListing listing;                  ///< from the upper folder
  std::vector<std::string> more_paths;   ///< to be looked at beside the listing
  Missing missing = Missing::deleted;
  std::uint64_t max_file_bytes = 0;
  std::uint64_t max_total_bytes = 0;  ///< of the files read
};

struct FinalTreeAnswer {
  ObjectId tree;
  std::vector<std::string> warnings;  ///< sentences that name what was passed over
  bool left_out = false;  ///< content was passed over that is nowhere else than in the workspace
};

/// Writes the tree and its new blobs to the quarantine. Files that cannot be taken (FIFOs, files in
/// a submodule, over a limit, named like `.git`) are named in warnings; no content is converted.
Result<FinalTreeAnswer> make_final_tree(Quarantine& quarantine, const WorkspaceView& merged,
                                        FinalTreeRequest request);

}  // namespace flow_runner
