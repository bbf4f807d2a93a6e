#include "executor/git_tree_changes.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "executor/git_workspace_view.hpp"

namespace flow_runner {
namespace {

struct Pair {
  std::string path;
  std::optional<ObjectId> before;
  std::optional<ObjectId> after;
};

class Comparison {
 public:
  Comparison(const Quarantine& objects, ComparisonBudget& budget,
             const std::function<Result<void>(TreeChange)>& found)
      : objects_(objects), budget_(budget), found_(found) {}

  Result<void> run(Pair top) {
    pending_.push_back(std::move(top));
    while (!pending_.empty()) {
      const Pair pair = std::move(pending_.back());
      pending_.pop_back();
      if (pair.before == pair.after) continue;
      FR_CHECK(compare(pair));
    }
    return {};
  }

 private:
  Result<std::vector<TreeEntry>> load(const std::optional<ObjectId>& id) {
    if (!id) return std::vector<TreeEntry>{};
    FR_TRY(const std::string data, objects_.read(*id, ObjectType::tree));
    FR_TRY(std::vector<TreeEntry> entries, parse_tree(data));
    if (entries.size() > budget_.entries_left) return over();
    budget_.entries_left -= entries.size();
    // By name alone, so that a file and a folder of one name meet.
    std::sort(entries.begin(), entries.end(),
              [](const TreeEntry& left, const TreeEntry& right) { return left.name < right.name; });
    return entries;
  }

  Result<void> compare(const Pair& pair) {
    FR_TRY(const std::vector<TreeEntry> before, load(pair.before));
    FR_TRY(const std::vector<TreeEntry> after, load(pair.after));
    auto left = before.begin();
    auto right = after.begin();
    while (left != before.end() || right != after.end()) {
      const bool take_left =
          right == after.end() || (left != before.end() && left->name <= right->name);
      const bool take_right =
          left == before.end() || (right != after.end() && right->name <= left->name);
      FR_CHECK(
          compare_entry(pair.path, take_left ? &*left : nullptr, take_right ? &*right : nullptr));
      if (take_left) ++left;
      if (take_right) ++right;
    }
    return {};
  }

  Result<void> compare_entry(const std::string& folder, const TreeEntry* before,
                             const TreeEntry* after) {
    if (before != nullptr && after != nullptr && before->id == after->id &&
        before->mode == after->mode) {
      return {};
    }
    const std::string& name = before != nullptr ? before->name : after->name;
    std::string path = folder.empty() ? name : folder + "/" + name;
    if (path.size() > max_path_bytes) {
      return Error{ErrorCode::invalid_input, "a tree has a path of more than 4095 bytes"};
    }
    if (path.size() > budget_.path_bytes_left) return over();
    budget_.path_bytes_left -= path.size();
    const auto subtree = [](const TreeEntry* entry) {
      return entry != nullptr && entry->mode == EntryMode::tree ? std::optional(entry->id)
                                                                : std::nullopt;
    };
    const auto file = [](const TreeEntry* entry) {
      return entry != nullptr && entry->mode != EntryMode::tree
                 ? std::optional(TreeFile{.mode = entry->mode, .id = entry->id})
                 : std::nullopt;
    };
    if (subtree(before) || subtree(after)) {
      pending_.push_back({.path = path, .before = subtree(before), .after = subtree(after)});
    }
    if (!file(before) && !file(after)) return {};
    if (budget_.files_left == 0) return over();
    --budget_.files_left;
    return found_({.path = std::move(path), .before = file(before), .after = file(after)});
  }

  static Error over() {
    return {ErrorCode::invalid_input, "the changes name more files than can be looked at"};
  }

  const Quarantine& objects_;
  ComparisonBudget& budget_;
  const std::function<Result<void>(TreeChange)>& found_;
  std::vector<Pair> pending_;
};

}  // namespace

Result<void> compare_trees(const Quarantine& objects, const std::optional<ObjectId>& before,
                           const std::optional<ObjectId>& after, ComparisonBudget& budget,
                           const std::function<Result<void>(TreeChange)>& found) {
  return Comparison(objects, budget, found).run({.path = "", .before = before, .after = after});
}

}  // namespace flow_runner
