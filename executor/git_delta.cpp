#include "executor/git_delta.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unordered_map>

#include "config/quoted_path.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_names.hpp"

namespace flow_runner {
namespace {

struct Entry {
  std::string name;
  git_oid id{};
  std::uint32_t mode = 0;
  [[nodiscard]] bool is_tree() const { return mode == GIT_FILEMODE_TREE; }
  [[nodiscard]] bool is_gitlink() const { return mode == GIT_FILEMODE_COMMIT; }
  [[nodiscard]] bool same_as(const Entry& other) const {
    return mode == other.mode && git_oid_equal(&id, &other.id) != 0;
  }
};

Result<std::vector<Entry>> sorted_entries(git_repository& mirror, const git_oid& id) {
  GitTree tree;
  FR_CHECK(git_check(git_tree_lookup(out(tree), &mirror, &id), "read a tree"));
  std::vector<Entry> entries(git_tree_entrycount(tree.get()));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const git_tree_entry* entry = git_tree_entry_byindex(tree.get(), i);
    entries[i] = {git_tree_entry_name(entry), *git_tree_entry_id(entry),
                  static_cast<std::uint32_t>(git_tree_entry_filemode(entry))};
  }
  // A tree is sorted as if folders ended in '/': a file and a folder of one name do not stand
  // together.
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(entries.begin(), entries.end(),
                         [](const Entry& a, const Entry& b) { return a.name == b.name; });
  if (twice != entries.end()) {
    return Error{ErrorCode::invalid_input,
                 "the commit has two entries named " + quote_path(twice->name)};
  }
  return entries;
}

class DeltaPlanner {
 public:
  DeltaPlanner(git_repository& mirror, std::uint64_t max_changes) : mirror_(mirror) {
    // The top folder counts as an entry.
    plan_.checkout.max_entries = max_changes + 1;
  }

  Result<DeltaPlan> run(const git_oid& old_tree, const git_oid& new_tree, CachedTree cache) {
    FR_TRY(plan_.trees, merge(old_tree, new_tree, "", std::move(cache)));
    return std::move(plan_);
  }

 private:
  // Recursion is bounded by the length of a path, for both trees have this folder and the old one
  // was checked out.
  Result<CachedTree> merge(const git_oid& old_tree, const git_oid& new_tree,
                           const std::string& path, CachedTree cache) {
    FR_TRY(const auto olds, sorted_entries(mirror_, old_tree));
    FR_TRY(const auto news, sorted_entries(mirror_, new_tree));
    CachedTree merged;
    merged.name = cache.name;
    merged.id = new_tree;
    auto old_entry = olds.begin();
    auto new_entry = news.begin();
    while (old_entry != olds.end() || new_entry != news.end()) {
      if (new_entry == news.end() ||
          (old_entry != olds.end() && old_entry->name < new_entry->name)) {
        FR_CHECK(remove(path, *old_entry++));
      } else if (old_entry == olds.end() || new_entry->name < old_entry->name) {
        FR_CHECK(add(path, *new_entry++, merged));
      } else {
        FR_CHECK(change(path, *old_entry++, *new_entry++, cache, merged));
      }
    }
    return merged;
  }

  Result<void> change(const std::string& path, const Entry& from, const Entry& to,
                      CachedTree& cache, CachedTree& merged) {
    if (from.is_tree() && to.is_tree()) {
      FR_TRY(CachedTree child, take_child(cache, from.name));
      if (!from.same_as(to)) {
        FR_TRY(child, merge(from.id, to.id, join_git_path(path, from.name), std::move(child)));
      }
      merged.entry_count += child.entry_count;
      merged.children.push_back(std::move(child));
      return {};
    }
    if (from.same_as(to)) {
      ++merged.entry_count;
      return {};
    }
    note_attributes(from.name);
    if (from.is_gitlink() && to.is_gitlink()) {
      // The empty folder is in the layer below; only the index differs.
      ++merged.entry_count;
      plan_.checkout.files.push_back({join_git_path(path, to.name), to.id, to.mode, 0});
      return {};
    }
    forget(path, from);
    // In an overlay a file hides a lower folder by itself; a folder would be merged with it.
    return add(path, to, merged, to.is_tree() || to.is_gitlink());
  }

  Result<void> remove(const std::string& path, const Entry& entry) {
    note_attributes(entry.name);
    FR_CHECK(check_limit());
    FR_TRY(const std::uint32_t folder, folder_for(path));
    static_cast<void>(folder);
    forget(path, entry);
    plan_.whiteouts.push_back(join_git_path(path, entry.name));
    return {};
  }

  void forget(const std::string& path, const Entry& entry) {
    std::string name = join_git_path(path, entry.name);
    // A .gitattributes may lie anywhere below.
    if (entry.is_tree()) plan_.attributes_changed = true;
    if (entry.is_tree())
      plan_.removed_prefixes.push_back(std::move(name) + '/');
    else
      plan_.removed_paths.push_back(std::move(name));
  }

  Result<void> add(const std::string& path, const Entry& entry, CachedTree& merged,
                   bool opaque = false) {
    note_attributes(entry.name);
    FR_CHECK(check_limit());
    FR_TRY(const std::uint32_t folder, folder_for(path));
    CheckoutPlan& checkout = plan_.checkout;
    const std::size_t made = checkout.folders.size();
    if (entry.is_tree()) {
      FR_TRY(const std::uint32_t child_folder, plan_folder(checkout, folder, entry.name));
      FR_TRY(CachedTree child, plan_tree(mirror_, entry.id, child_folder, checkout));
      merged.entry_count += child.entry_count;
      merged.children.push_back(std::move(child));
      plan_.attributes_changed = true;
    } else {
      FR_CHECK(plan_entry(checkout, folder, entry.name, entry.id, entry.mode));
      ++merged.entry_count;
    }
    if (opaque) checkout.folders[made].opaque = true;
    return {};
  }

  Result<void> check_limit() {
    const CheckoutPlan& checkout = plan_.checkout;
    if (plan_.whiteouts.size() + checkout.files.size() + checkout.folders.size() <
        checkout.max_entries)
      return {};
    plan_.checkout.over_limit = true;
    return Error{ErrorCode::invalid_input, "too many changes for a delta"};
  }

  void note_attributes(std::string_view name) {
    if (name == ".gitattributes") plan_.attributes_changed = true;
  }

  /// The folder's number; it and its parents are planned when first needed.
  Result<std::uint32_t> folder_for(const std::string& path) {
    if (path.empty()) return 0U;
    if (const auto found = folders_.find(path); found != folders_.end()) return found->second;
    const std::size_t slash = path.rfind('/');
    FR_TRY(const std::uint32_t parent,
           folder_for(slash == std::string::npos ? std::string() : path.substr(0, slash)));
    FR_TRY(const std::uint32_t number,
           plan_folder(plan_.checkout, parent, std::string_view(path).substr(slash + 1)));
    folders_.emplace(path, number);
    return number;
  }

  static Result<CachedTree> take_child(CachedTree& cache, const std::string& name) {
    const auto found = std::find_if(cache.children.begin(), cache.children.end(),
                                    [&](const CachedTree& child) { return child.name == name; });
    if (found == cache.children.end()) {
      return Error{ErrorCode::internal,
                   "the base snapshot's index has no cached tree for " + quote_path(name)};
    }
    return std::move(*found);
  }

  git_repository& mirror_;
  DeltaPlan plan_;
  std::unordered_map<std::string, std::uint32_t> folders_;
};

/// Skips the entries of sorted lists as sorted index paths go by.
class Removals {
 public:
  explicit Removals(DeltaPlan& plan)
      : paths_(plan.removed_paths), prefixes_(plan.removed_prefixes) {
    std::sort(paths_.begin(), paths_.end());
    std::sort(prefixes_.begin(), prefixes_.end());
  }
  bool holds(std::string_view path) {
    while (path_ < paths_.size() && paths_[path_] < path) ++path_;
    if (path_ < paths_.size() && paths_[path_] == path) return true;
    while (prefix_ < prefixes_.size() && prefixes_[prefix_] < path &&
           !path.starts_with(prefixes_[prefix_])) {
      ++prefix_;
    }
    return prefix_ < prefixes_.size() && path.starts_with(prefixes_[prefix_]);
  }

 private:
  std::vector<std::string>& paths_;
  std::vector<std::string>& prefixes_;
  std::size_t path_ = 0;
  std::size_t prefix_ = 0;
};

}  // namespace

Result<DeltaPlan> plan_delta(git_repository& mirror, const git_oid& old_tree,
                             const git_oid& new_tree, CachedTree old_cache,
                             std::uint64_t max_changes) {
  return DeltaPlanner(mirror, max_changes).run(old_tree, new_tree, std::move(old_cache));
}

Result<void> write_whiteouts(const DeltaPlan& plan, int top) {
  for (const std::string& path : plan.whiteouts) {
    // The parents are folders of this layer, made before any link.
    if (::mknodat(top, path.c_str(), S_IFCHR | 0000, makedev(0, 0)) != 0) {
      return errno_error("cannot make the whiteout " + quote_path(path));
    }
  }
  return {};
}

Result<std::string> patched_index(const IndexFile& old_index, DeltaPlan& plan,
                                  std::uint32_t mtime) {
  auto& files = plan.checkout.files;
  std::sort(files.begin(), files.end(),
            [](const PlannedFile& a, const PlannedFile& b) { return a.path < b.path; });
  IndexWriter writer((old_index.entry_count() + files.size()) * 128);
  auto next = files.begin();
  Result<void> outcome;
  const auto add_next = [&] {
    if (outcome) {
      outcome = writer.add(
          {next->path, next->id, next->mode, mtime, static_cast<std::uint32_t>(next->size)});
    }
    ++next;
  };
  Removals removals(plan);
  old_index.for_each(
      [&](std::string_view path, std::uint32_t, const git_oid&, std::string_view raw) {
        while (next != files.end() && next->path < path) add_next();
        const bool replaced = next != files.end() && next->path == path;
        if (replaced || removals.holds(path)) return;
        if (outcome) outcome = writer.add_raw(path, raw);
      });
  while (next != files.end()) add_next();
  if (!outcome) return std::move(outcome).error();
  if (writer.entry_count() != plan.trees.entry_count) {
    return Error{ErrorCode::internal, "the delta's index does not match its commit"};
  }
  return writer.finish(plan.trees);
}

}  // namespace flow_runner
