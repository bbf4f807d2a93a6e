#include "executor/git_final_tree.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "config/quoted_path.hpp"
#include "executor/git_path_rules.hpp"
#include "executor/git_tree_changes.hpp"
#include "executor/git_tree_edit.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_named = 20;
constexpr std::size_t max_named_bytes = 200;

bool has_dot_git(std::string_view path) {
  while (true) {
    const auto slash = path.find('/');
    if (names_dot_git(path.substr(0, slash))) return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

class FinalTree {
 public:
  FinalTree(Quarantine& quarantine, const WorkspaceView& merged, FinalTreeRequest request)
      : quarantine_(quarantine),
        merged_(merged),
        request_(std::move(request)),
        edit_(quarantine, request_.parent_tree),
        tracked_(quarantine, request_.tracked_tree.value_or(request_.parent_tree)),
        ignore_(merged),
        bytes_left_(request_.max_total_bytes) {}

  Result<ObjectId> make() {
    FR_TRY(const std::vector<std::string> paths, all_paths());
    for (const auto& path : paths) FR_CHECK(take(path));
    return edit_.write();
  }

  /// Fills in all but the tree.
  Result<void> report(FinalTreeAnswer& answer) {
    auto& warnings = answer.warnings;
    NamedPaths nested;
    for (const auto& folder : request_.listing.nested_repositories) {
      FR_TRY(const bool ignored, ignore_.ignored(folder, FileKind::folder));
      if (!ignored) nested.add(folder);
    }
    NamedPaths too_deep;
    for (const auto& folder : request_.listing.too_deep) too_deep.add(folder);
    nested.report("a repository of its own was taken over as plain files, without its history",
                  warnings);
    in_submodule_.report("files in a submodule cannot be committed here and are left out",
                         warnings);
    special_.report("left out, for it is no file, link or folder", warnings);
    dot_git_.report("left out, for git takes the name for its own folder", warnings);
    too_large_.report("left out, for it is over the limit of " +
                          std::to_string(request_.max_file_bytes) + " bytes, or of " +
                          std::to_string(request_.max_total_bytes) + " bytes for all files",
                      warnings);
    too_deep.report("left out, for paths in it have more than 4095 bytes", warnings);
    hidden_.report("the workspace has a sparse checkout, so missing files do not count as deleted",
                   warnings);
    answer.left_out =
        !in_submodule_.empty() || !dot_git_.empty() || !too_large_.empty() || !too_deep.empty();
    return {};
  }

 private:
  Result<std::vector<std::string>> all_paths() {
    std::vector<std::string> paths = std::move(request_.more_paths);
    std::set<std::string, std::less<>> expanded;
    std::vector<Candidate> candidates = std::exchange(request_.listing.candidates, {});
    for (const auto& candidate : candidates) {
      if (candidate.below == Below::missing) FR_CHECK(add_missing(candidate.path, paths));
      if (candidate.below == Below::all && !below_any(expanded, candidate.path)) {
        expanded.insert(candidate.path);
        FR_CHECK(expand(candidate.path, paths));
      }
      if (!candidate.path.empty()) paths.push_back(candidate.path);
    }
    FR_CHECK(list_expanded(expanded, paths));
    std::sort(paths.begin(), paths.end());
    paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    return paths;
  }

  /// Adds what the parent's tree has in the folder and the workspace has no more.
  Result<void> add_missing(const std::string& folder, std::vector<std::string>& paths) {
    FR_TRY(const std::optional<ObjectId> id, tree_at(folder));
    if (!id) return {};
    FR_TRY(const std::string data, quarantine_.read(*id, ObjectType::tree));
    FR_TRY(const std::vector<TreeEntry> entries, parse_tree(data));
    for (const auto& entry : entries) {
      std::string path = folder.empty() ? entry.name : folder + "/" + entry.name;
      FR_TRY(const FileFacts facts, merged_.facts(path));
      if (facts.kind == FileKind::absent) paths.push_back(std::move(path));
    }
    return {};
  }

  /// The parent's tree at a folder.
  Result<std::optional<ObjectId>> tree_at(const std::string& folder) {
    if (folder.empty()) return std::optional(request_.parent_tree);
    FR_TRY(const std::optional<TreeFile> before, edit_.find(folder));
    if (!before || before->mode != EntryMode::tree) return std::optional<ObjectId>{};
    return std::optional(before->id);
  }

  static bool below_any(const std::set<std::string, std::less<>>& folders, std::string_view path) {
    if (!folders.empty() && folders.begin()->empty()) return true;
    for (auto slash = path.find('/'); slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
      if (folders.contains(path.substr(0, slash))) return true;
    }
    return false;
  }

  /// Adds what the parent's tree has below the folder.
  Result<void> expand(const std::string& folder, std::vector<std::string>& paths) {
    FR_TRY(const std::optional<ObjectId> before, tree_at(folder));
    if (!before) return {};
    return compare_trees(
        quarantine_, before, std::nullopt, comparison_,
        [&](const TreeChange& change) -> Result<void> {
          paths.push_back(folder.empty() ? change.path : folder + "/" + change.path);
          return {};
        });
  }

  /// Adds what the workspace has below the folders.
  Result<void> list_expanded(const std::set<std::string, std::less<>>& folders,
                             std::vector<std::string>& paths) {
    UpperListing found;
    for (const auto& folder : folders) {
      FR_CHECK(list_subtree(merged_, folder, UpperLimits{}, found));
    }
    for (auto& candidate : found.candidates) paths.push_back(std::move(candidate.path));
    auto& nested = request_.listing.nested_repositories;
    nested.insert(nested.end(), found.nested_repositories.begin(), found.nested_repositories.end());
    std::sort(nested.begin(), nested.end());
    nested.erase(std::unique(nested.begin(), nested.end()), nested.end());
    return {};
  }

  Result<void> take(const std::string& path) {
    FR_TRY(const FileFacts facts, merged_.facts(path));
    FR_TRY(const std::optional<TreeFile> before, edit_.find(path));
    FR_TRY(const std::optional<std::string> submodule, edit_.submodule_of(path));
    if (submodule && (*submodule != path || facts.kind == FileKind::folder)) {
      return pass_submodule(*submodule, facts);
    }
    switch (facts.kind) {
      case FileKind::absent:
        if (request_.missing == Missing::deleted) return edit_.remove(path);
        if (before) hidden_.add(path);
        return {};
      case FileKind::folder:
        if (before && before->mode != EntryMode::tree) return edit_.remove(path);
        return {};
      case FileKind::other:
        return pass_special(path, before.has_value());
      case FileKind::regular:
      case FileKind::symlink:
        return take_file(path, facts, before);
    }
    return {};
  }

  Result<void> pass_submodule(const std::string& submodule, const FileFacts& facts) {
    if (facts.kind == FileKind::absent || facts.kind == FileKind::folder) return {};
    if (submodule != last_submodule_) in_submodule_.add(submodule);
    last_submodule_ = submodule;
    return {};
  }

  Result<void> pass_special(const std::string& path, bool tracked) {
    FR_CHECK(edit_.remove(path));
    if (!tracked) {
      FR_TRY(const bool ignored, ignore_.ignored(path, FileKind::other));
      if (ignored) return {};
    }
    special_.add(path);
    return {};
  }

  Result<bool> tracked(const std::string& path, const std::optional<TreeFile>& before) {
    if (before && before->mode != EntryMode::tree) return true;
    if (!request_.tracked_tree) return false;
    FR_TRY(const std::optional<TreeFile> known, tracked_.find(path));
    return known.has_value() && known->mode != EntryMode::tree;
  }

  Result<void> take_file(const std::string& path, const FileFacts& facts,
                         const std::optional<TreeFile>& before) {
    // Whatever lay below the path is gone, also when the file itself is left out.
    if (before && before->mode == EntryMode::tree) FR_CHECK(edit_.remove(path));
    FR_TRY(const bool was_tracked, tracked(path, before));
    if (!was_tracked) {
      FR_TRY(const bool ignored, ignore_.ignored(path, facts.kind));
      if (ignored) return {};
    }
    if (has_dot_git(path)) {
      dot_git_.add(path);
      return {};
    }
    if (facts.kind == FileKind::symlink) {
      FR_TRY(const std::string target, merged_.read_link(path));
      FR_TRY(const ObjectId id, quarantine_.write(ObjectType::blob, target));
      return edit_.put(path, {.mode = EntryMode::symlink, .id = id});
    }
    if (facts.size > request_.max_file_bytes || facts.size > bytes_left_) {
      too_large_.add(path);
      return {};
    }
    bytes_left_ -= facts.size;
    FR_TRY(const std::optional<OpenedFile> file, merged_.open_regular(path));
    if (!file) {
      return Error{ErrorCode::unavailable,
                   "'" + quote_path(path) + "' of the workspace changed while it was read"};
    }
    FR_TRY(const ObjectId id, quarantine_.write_blob(file->descriptor.get(), file->size));
    return edit_.put(
        path, {.mode = facts.executable ? EntryMode::executable : EntryMode::file, .id = id});
  }

  Quarantine& quarantine_;
  const WorkspaceView& merged_;
  FinalTreeRequest request_;
  TreeEdit edit_;
  TreeEdit tracked_;
  IgnoreRules ignore_;
  ComparisonBudget comparison_;
  std::uint64_t bytes_left_;
  std::string last_submodule_;
  NamedPaths in_submodule_;
  NamedPaths special_;
  NamedPaths dot_git_;
  NamedPaths too_large_;
  NamedPaths hidden_;
};

}  // namespace

void NamedPaths::add(std::string_view path) {
  ++count_;
  if (named_.size() < max_named) {
    std::string name = quote_path(path.substr(0, max_named_bytes));
    if (path.size() > max_named_bytes) name += "...";
    named_.push_back(std::move(name));
  }
}

void NamedPaths::report(std::string_view words, std::vector<std::string>& warnings) const {
  if (count_ == 0) return;
  std::string sentence(words);
  for (std::size_t i = 0; i < named_.size(); ++i) {
    sentence += i == 0 ? ": '" : ", '";
    sentence += named_[i] + "'";
  }
  if (count_ > named_.size()) {
    sentence += " and " + std::to_string(count_ - named_.size()) + " more";
  }
  warnings.push_back(std::move(sentence));
}

Result<FinalTreeAnswer> make_final_tree(Quarantine& quarantine, const WorkspaceView& merged,
                                        FinalTreeRequest request) {
  FinalTree final_tree(quarantine, merged, std::move(request));
  FinalTreeAnswer answer;
  FR_TRY(answer.tree, final_tree.make());
  FR_CHECK(final_tree.report(answer));
  return answer;
}

}  // namespace flow_runner
