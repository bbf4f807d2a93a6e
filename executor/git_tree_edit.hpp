// TreeEdit: a tree under change; loads and rewrites only the folders that a change touches.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"
#include "executor/git_object_format.hpp"
#include "executor/git_quarantine.hpp"
#include "executor/git_tree_changes.hpp"

namespace flow_runner {

/// Paths are at most max_path_bytes long, which bounds the depth too. Folders that become empty
/// vanish, as git has none.
class TreeEdit {
 public:
  TreeEdit(Quarantine& objects, const ObjectId& root);
  ~TreeEdit();

  /// The entry at `path`, a folder (EntryMode::tree) with the id that it had at first.
  [[nodiscard]] Result<std::optional<TreeFile>> find(std::string_view path);
  /// The submodule at `path` or above it, if any.
  [[nodiscard]] Result<std::optional<std::string>> submodule_of(std::string_view path);
  /// Puts a file there; a folder at `path`, or a file in the way to it, is replaced.
  Result<void> put(std::string_view path, const TreeFile& file);
  /// Removes the file or folder at `path`, if there is one.
  Result<void> remove(std::string_view path);
  /// Writes the changed folders; the id of the whole.
  Result<ObjectId> write();

 private:
  struct Folder;
  struct Slot;
  Result<Folder*> load(Slot& slot);
  Result<Slot*> lookup(std::string_view path);
  Result<std::optional<ObjectId>> write_folder(Folder& folder);

  Quarantine& objects_;
  std::unique_ptr<Slot> root_;
};

}  // namespace flow_runner
