#include "executor/git_tree_edit.hpp"

#include <utility>

namespace flow_runner {

struct TreeEdit::Slot {
  TreeFile file;
  std::unique_ptr<Folder> folder;  ///< loaded; only of a tree
};

struct TreeEdit::Folder {
  std::map<std::string, Slot, std::less<>> slots;
  bool changed = false;
};

namespace {

/// Splits the first component off.
std::pair<std::string_view, std::string_view> split(std::string_view path) {
  const auto slash = path.find('/');
  if (slash == std::string_view::npos) return {path, {}};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

TreeEdit::TreeEdit(Quarantine& objects, const ObjectId& root)
    : objects_(objects), root_(std::make_unique<Slot>()) {
  root_->file = {.mode = EntryMode::tree, .id = root};
}
TreeEdit::~TreeEdit() = default;

Result<TreeEdit::Folder*> TreeEdit::load(Slot& slot) {
  if (slot.folder) return slot.folder.get();
  auto folder = std::make_unique<Folder>();
  FR_TRY(const std::string data, objects_.read(slot.file.id, ObjectType::tree));
  FR_TRY(std::vector<TreeEntry> entries, parse_tree(data));
  for (auto& entry : entries) {
    folder->slots[std::move(entry.name)].file = {.mode = entry.mode, .id = entry.id};
  }
  slot.folder = std::move(folder);
  return slot.folder.get();
}

Result<TreeEdit::Slot*> TreeEdit::lookup(std::string_view path) {
  Slot* slot = root_.get();
  while (!path.empty()) {
    if (slot->file.mode != EntryMode::tree) return nullptr;
    const auto [name, rest] = split(path);
    FR_TRY(Folder * folder, load(*slot));
    const auto found = folder->slots.find(name);
    if (found == folder->slots.end()) return nullptr;
    slot = &found->second;
    path = rest;
  }
  return slot;
}

Result<std::optional<TreeFile>> TreeEdit::find(std::string_view path) {
  FR_TRY(const Slot* slot, lookup(path));
  if (slot == nullptr) return std::optional<TreeFile>{};
  return std::optional(slot->file);
}

Result<std::optional<std::string>> TreeEdit::submodule_of(std::string_view path) {
  Slot* slot = root_.get();
  std::size_t at = 0;
  while (slot->file.mode == EntryMode::tree && at < path.size()) {
    const auto [name, rest] = split(path.substr(at));
    FR_TRY(Folder * folder, load(*slot));
    const auto found = folder->slots.find(name);
    if (found == folder->slots.end()) return std::optional<std::string>{};
    slot = &found->second;
    at += name.size();
    if (slot->file.mode == EntryMode::gitlink) {
      return std::optional(std::string(path.substr(0, at)));
    }
    ++at;
  }
  return std::optional<std::string>{};
}

Result<void> TreeEdit::put(std::string_view path, const TreeFile& file) {
  std::vector<Folder*> passed;
  Slot* slot = root_.get();
  while (true) {
    const auto [name, rest] = split(path);
    FR_TRY(Folder * folder, load(*slot));
    passed.push_back(folder);
    auto found = folder->slots.find(name);
    const bool made = found == folder->slots.end();
    if (made) found = folder->slots.emplace(std::string(name), Slot{}).first;
    slot = &found->second;
    if (rest.empty()) {
      if (!made && slot->file == file) return {};
      slot->file = file;
      slot->folder.reset();
      break;
    }
    if (made || slot->file.mode != EntryMode::tree) {
      slot->file = {.mode = EntryMode::tree, .id = {}};
      slot->folder = std::make_unique<Folder>();
    }
    path = rest;
  }
  for (Folder* folder : passed) folder->changed = true;
  return {};
}

Result<void> TreeEdit::remove(std::string_view path) {
  std::vector<Folder*> passed;
  Slot* slot = root_.get();
  while (slot->file.mode == EntryMode::tree) {
    const auto [name, rest] = split(path);
    FR_TRY(Folder * folder, load(*slot));
    passed.push_back(folder);
    const auto found = folder->slots.find(name);
    if (found == folder->slots.end()) return {};
    if (rest.empty()) {
      folder->slots.erase(found);
      for (Folder* changed : passed) changed->changed = true;
      return {};
    }
    slot = &found->second;
    path = rest;
  }
  return {};
}

Result<ObjectId> TreeEdit::write() {
  if (!root_->folder || !root_->folder->changed) return root_->file.id;
  FR_TRY(const std::optional<ObjectId> id, write_folder(*root_->folder));
  if (id) return *id;
  return objects_.write(ObjectType::tree, "");
}

Result<std::optional<ObjectId>> TreeEdit::write_folder(Folder& folder) {
  std::vector<TreeEntry> entries;
  for (auto& [name, slot] : folder.slots) {
    TreeEntry entry{.mode = slot.file.mode, .name = name, .id = slot.file.id};
    if (slot.folder && slot.folder->changed) {
      FR_TRY(const std::optional<ObjectId> id, write_folder(*slot.folder));
      if (!id) continue;
      entry.id = *id;
    }
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return std::optional<ObjectId>{};
  FR_TRY(const ObjectId id, objects_.write(ObjectType::tree, format_tree(std::move(entries))));
  return std::optional(id);
}

}  // namespace flow_runner
