#include "executor/git_publication_content.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "executor/git_path_rules.hpp"
#include "executor/git_tree_edit.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t piece_bytes = 64 << 10;
constexpr std::size_t max_attributes_bytes = 1 << 20;

Result<LfsRules> lfs_rules(Quarantine& objects, const ObjectId& tree,
                           const std::set<std::string>& folders) {
  LfsRules rules;
  TreeEdit lookup(objects, tree);
  for (const auto& folder : folders) {
    FR_TRY(const std::optional<TreeFile> file,
           lookup.find(folder.empty() ? ".gitattributes" : folder + "/.gitattributes"));
    if (!file || (file->mode != EntryMode::file && file->mode != EntryMode::executable)) continue;
    FR_TRY(const std::string text, objects.read(file->id, ObjectType::blob));
    if (text.size() <= max_attributes_bytes) rules.add(folder, text);
  }
  return rules;
}

Result<void> mark_lfs(Quarantine& objects, const ObjectId& before, const ObjectId& after,
                      std::vector<Change>& changes) {
  std::set<std::string> folders{""};
  for (const auto& change : changes) {
    for (auto slash = change.path.find('/'); slash != std::string::npos;
         slash = change.path.find('/', slash + 1)) {
      folders.insert(change.path.substr(0, slash));
    }
  }
  FR_TRY(const LfsRules old_rules, lfs_rules(objects, before, folders));
  FR_TRY(const LfsRules new_rules, lfs_rules(objects, after, folders));
  for (auto& change : changes) {
    change.lfs = old_rules.covers(change.path) || new_rules.covers(change.path);
  }
  return {};
}

ChangeStatus status_of(const TreeChange& change) {
  if (!change.before) return ChangeStatus::added;
  if (!change.after) return ChangeStatus::deleted;
  const auto type = [](EntryMode mode) { return static_cast<std::uint32_t>(mode) & 0170000U; };
  return type(change.before->mode) == type(change.after->mode) ? ChangeStatus::modified
                                                               : ChangeStatus::type_changed;
}

}  // namespace

Result<std::vector<Change>> list_changes(Quarantine& objects, const ObjectId& before,
                                         const ObjectId& after) {
  std::vector<Change> changes;
  ComparisonBudget budget;
  FR_CHECK(
      compare_trees(objects, before, after, budget, [&](const TreeChange& change) -> Result<void> {
        changes.push_back({.path = change.path, .status = status_of(change)});
        return {};
      }));
  std::sort(changes.begin(), changes.end(),
            [](const Change& left, const Change& right) { return left.path < right.path; });
  if (!changes.empty()) FR_CHECK(mark_lfs(objects, before, after, changes));
  return changes;
}

Result<void> compare_with_parent(const Quarantine& objects, const ParsedCommit& commit,
                                 ComparisonBudget& budget,
                                 const std::function<Result<void>(TreeChange)>& found) {
  std::optional<ObjectId> parent_tree;
  if (!commit.parents.empty()) {
    FR_TRY(const std::string data, objects.read(commit.parents.front(), ObjectType::commit));
    FR_TRY(const ParsedCommit parent, parse_commit(data));
    parent_tree = parent.tree;
  }
  return compare_trees(objects, parent_tree, commit.tree, budget, found);
}

void PublicationContent::piece(ContentKind kind, std::string_view commit, std::string_view path,
                               std::string_view bytes) {
  sink_.begin(kind, commit, path, bytes.size());
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece_bytes, bytes.size()))) {
    sink_.bytes(bytes.substr(0, piece_bytes));
  }
}

Result<void> PublicationContent::show(const ObjectId& commit) {
  FR_TRY(const std::string data, objects_.read(commit, ObjectType::commit));
  FR_TRY(const ParsedCommit parsed, parse_commit(data));
  const std::string hex = commit.hex();
  piece(ContentKind::message, hex, "", data);
  return compare_with_parent(
      objects_, parsed, budget_, [&](const TreeChange& change) -> Result<void> {
        piece(ContentKind::path, hex, change.path, change.path);
        const auto& after = change.after;
        if (!after || after->mode == EntryMode::gitlink) return {};
        if (change.before && change.before->id == after->id) return {};
        if (!shown_.insert(after->id).second) return {};
        FR_TRY(const std::string blob, objects_.read(after->id, ObjectType::blob));
        piece(ContentKind::blob, hex, change.path, blob);
        return {};
      });
}

}  // namespace flow_runner
