// Checkout: which folders and files a tree becomes, and the writing of them, by several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <git2/oid.h>
#include <git2/types.h>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"
#include "executor/git_index_file.hpp"

namespace flow_runner {

/// A tree may name the same subtree any number of times, so a small push can ask for any number of
/// files: more folders and files together, or more bytes, are refused.
inline constexpr std::uint64_t max_checkout_entries = 2'000'000;
inline constexpr std::uint64_t max_checkout_bytes = 64ULL << 30;

struct PlannedFolder {
  std::string path;     ///< relative; empty for the top one
  bool opaque = false;  ///< hides what a lower overlay layer has at this path
};

/// A file, symbolic link or gitlink. `size` is known once it is written.
struct PlannedFile {
  std::string path;
  git_oid id{};
  std::uint32_t mode = 0;
  std::uint32_t folder = 0;  ///< in CheckoutPlan::folders
  std::uint64_t size = 0;
};

/// folders[0] is the top one, each folder stands behind its parent. Names were checked.
struct CheckoutPlan {
  std::vector<PlannedFolder> folders{PlannedFolder{}};
  std::vector<PlannedFile> files;
  std::uint64_t max_entries = max_checkout_entries;
  bool over_limit = false;  ///< the Error that ended the planning was about max_entries
};

/// Adds the folder and all below it to the plan, in index order, and returns its cached tree.
/// `folder` is where the tree's content goes (already planned). invalid_input for names or counts
/// that are refused.
Result<CachedTree> plan_tree(git_repository& mirror, const git_oid& tree, std::uint32_t folder,
                             CheckoutPlan& plan);

/// Plans the folder `name` in `parent`; returns its number.
Result<std::uint32_t> plan_folder(CheckoutPlan& plan, std::uint32_t parent, std::string_view name);
/// Plans one entry (not a tree) in `folder`. A gitlink gets an empty folder too.
Result<void> plan_entry(CheckoutPlan& plan, std::uint32_t folder, std::string_view name,
                        const git_oid& id, std::uint32_t mode);

/// "folder/name", or just the name at the top.
std::string join_git_path(std::string_view folder, std::string_view name);

using CheckoutProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct CheckoutOptions {
  std::filesystem::path mirror;
  std::int64_t mtime = 1;     ///< of every file, seconds since the epoch
  CheckoutProgress progress;  ///< called on the caller's thread; may be empty
};

struct CheckoutOutcome {
  std::uint64_t bytes = 0;
  bool lfs = false;  ///< a .gitattributes among the files names filter=lfs
};

/// Writes the plan below `top` (a descriptor of an empty folder that nobody else writes to):
/// folders 0755, files 0644 or 0755, links as they are; no conversion, nothing existing is
/// replaced, no link is followed. Fills in PlannedFile::size. The caller has set umask to 022.
Result<CheckoutOutcome> write_checkout(CheckoutPlan& plan, int top, const CheckoutOptions& options);

/// Whether the text of a .gitattributes has a line with `filter=lfs`.
bool names_lfs(std::string_view attributes);

}  // namespace flow_runner
