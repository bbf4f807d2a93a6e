// Compares two trees by merging them, skipping what has equal ids.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "config/result.hpp"
#include "executor/git_object_format.hpp"
#include "executor/git_quarantine.hpp"

namespace flow_runner {

struct TreeFile {
  EntryMode mode = EntryMode::file;
  ObjectId id;
  bool operator==(const TreeFile&) const = default;
};

/// A file, link or submodule that differs; one of the two may be absent, not both.
struct TreeChange {
  std::string path;
  std::optional<TreeFile> before;
  std::optional<TreeFile> after;
};

/// Bounds for a whole series of comparisons; used up. A tree of ten entries that all name one
/// subtree, ten levels deep, would otherwise be 10^10 files.
struct ComparisonBudget {
  std::size_t files_left = 500'000;
  std::size_t entries_left = 20'000'000;
  std::size_t path_bytes_left = 512UL << 20;
};

/// Calls `found` for each difference, in no order that matters. An absent tree is an empty one.
/// invalid_input: a tree is broken or missing, or a bound is reached.
Result<void> compare_trees(const Quarantine& objects, const std::optional<ObjectId>& before,
                           const std::optional<ObjectId>& after, ComparisonBudget& budget,
                           const std::function<Result<void>(TreeChange)>& found);

}  // namespace flow_runner
