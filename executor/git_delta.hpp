// Delta: what an overlay layer must hold so that one commit's checkout becomes another's.
#pragma once

#include <cstdint>
#include <git2/oid.h>
#include <git2/types.h>
#include <string>
#include <vector>

#include "config/result.hpp"
#include "executor/git_checkout.hpp"
#include "executor/git_index_file.hpp"

namespace flow_runner {

/// A layer as overlayfs reads it (Documentation/filesystems/overlayfs.rst): changed files, the
/// folders they lie in, whiteouts for what is gone.
struct DeltaPlan {
  CheckoutPlan checkout;  ///< `files` are in no order
  std::vector<std::string> whiteouts;
  std::vector<std::string> removed_paths;     ///< index entries that are gone
  std::vector<std::string> removed_prefixes;  ///< "folder/": all index entries below are gone
  CachedTree trees;
  bool attributes_changed = false;  ///< a .gitattributes came, went or changed
};

/// Merges two trees, skipping what is equal. `old_cache` is old_tree's cached tree (consumed). At
/// most `max_changes` files, folders and whiteouts: more sets checkout.over_limit and is an Error.
Result<DeltaPlan> plan_delta(git_repository& mirror, const git_oid& old_tree,
                             const git_oid& new_tree, CachedTree old_cache,
                             std::uint64_t max_changes);

/// Makes the whiteouts (char device 0/0) below `top`, whose folders exist already.
Result<void> write_whiteouts(const DeltaPlan& plan, int top);

/// The index of the new commit: the old one's bytes with the plan's changes. The plan's files have
/// their sizes; `mtime` is theirs.
Result<std::string> patched_index(const IndexFile& old_index, DeltaPlan& plan, std::uint32_t mtime);

}  // namespace flow_runner
