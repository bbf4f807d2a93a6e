#include "executor/git_agent_history.hpp"

#include <queue>
#include <utility>

namespace flow_runner {
namespace {

Error over(std::string_view what, std::size_t limit) {
  return {ErrorCode::invalid_input,
          "the agent's history has more than " + std::to_string(limit) + " " + std::string(what)};
}

}  // namespace

Result<std::string> AgentHistory::import(const ObjectId& id, ObjectType type) {
  if (++objects_ > limits_.max_objects) return over("objects", limits_.max_objects);
  if (quarantine_.has(id)) return quarantine_.read(id, type);
  FR_TRY(std::optional<RawObject> object, repository_.find(id));
  if (!object) {
    return Error{ErrorCode::invalid_input,
                 std::string(to_string(type)) + " " + id.hex() + " is missing"};
  }
  if (object->type != type) {
    return Error{ErrorCode::invalid_input,
                 "object " + id.hex() + " is no " + std::string(to_string(type))};
  }
  // Before it is written: the quarantine must hold nothing that a checking git would stumble over.
  if (type == ObjectType::tree) FR_CHECK(parse_untrusted_tree(object->data));
  if (type == ObjectType::commit) FR_CHECK(parse_commit(object->data));
  FR_CHECK(quarantine_.write(type, object->data));
  return std::move(object->data);
}

Result<void> AgentHistory::import_tree(const ObjectId& root, Added& added) {
  std::vector<ObjectId> pending{root};
  while (!pending.empty()) {
    const ObjectId id = pending.back();
    pending.pop_back();
    if (trees_.contains(id)) continue;
    if (quarantine_.mirror_has(id)) {
      FR_TRY(const std::optional<ObjectType> type, quarantine_.type_of(id));
      if (type != ObjectType::tree) {
        return Error{ErrorCode::invalid_input, "object " + id.hex() + " is no tree"};
      }
      trees_.insert(id);
      continue;
    }
    FR_TRY(const std::string data, import(id, ObjectType::tree));
    FR_TRY(const std::vector<TreeEntry> entries, parse_untrusted_tree(data));
    for (const auto& entry : entries) {
      if (entry.mode == EntryMode::gitlink) continue;
      if (entry.mode == EntryMode::tree) {
        pending.push_back(entry.id);
        continue;
      }
      FR_TRY(const std::optional<ObjectType> type, quarantine_.type_of(entry.id));
      if (!type) {
        FR_CHECK(import(entry.id, ObjectType::blob));
      } else if (type != ObjectType::blob) {
        return Error{ErrorCode::invalid_input, "object " + entry.id.hex() + " is no blob"};
      }
    }
    trees_.insert(id);
    added.trees.push_back(id);
  }
  return {};
}

Result<void> AgentHistory::import_commit(const ObjectId& id, Added& added) {
  FR_TRY(const std::string data, import(id, ObjectType::commit));
  FR_TRY(ParsedCommit commit, parse_commit(data));
  FR_CHECK(import_tree(commit.tree, added));
  commits_.emplace(id, std::move(commit));
  added.commits.push_back(id);
  return {};
}

Result<std::vector<ObjectId>> AgentHistory::take(const ObjectId& tip) {
  Added added;
  if (auto imported = import_line(tip, added); !imported) {
    for (const auto& id : added.commits) commits_.erase(id);
    for (const auto& id : added.trees) trees_.erase(id);
    return imported.error();
  }
  return in_order(tip);
}

Result<void> AgentHistory::import_line(const ObjectId& tip, Added& added) {
  std::vector<ObjectId> pending{tip};
  while (!pending.empty()) {
    const ObjectId id = pending.back();
    pending.pop_back();
    if (commits_.contains(id)) continue;
    if (quarantine_.mirror_has(id)) {
      FR_TRY(const std::optional<ObjectType> type, quarantine_.type_of(id));
      if (type != ObjectType::commit) {
        return Error{ErrorCode::invalid_input, "object " + id.hex() + " is no commit"};
      }
      continue;
    }
    if (commits_.size() >= limits_.max_commits) return over("commits", limits_.max_commits);
    FR_CHECK(import_commit(id, added));
    for (const auto& parent : commits_.at(id).parents) pending.push_back(parent);
  }
  return {};
}

std::vector<ObjectId> AgentHistory::in_order(const ObjectId& tip) const {
  struct Frame {
    ObjectId id;
    std::size_t next_parent = 0;
  };
  std::vector<ObjectId> order;
  std::unordered_set<ObjectId, ObjectIdHash> seen;
  std::vector<Frame> stack;
  const auto enter = [&](const ObjectId& id) {
    if (commits_.contains(id) && seen.insert(id).second) stack.push_back({.id = id});
  };
  enter(tip);
  while (!stack.empty()) {
    Frame& frame = stack.back();
    const auto& parents = commits_.at(frame.id).parents;
    if (frame.next_parent < parents.size()) {
      enter(parents[frame.next_parent++]);
    } else {
      order.push_back(frame.id);
      stack.pop_back();
    }
  }
  return order;
}

Result<bool> AgentHistory::descends(const ObjectId& tip, const ObjectId& base) const {
  // The newest first: the base is rarely far behind.
  std::priority_queue<std::pair<std::int64_t, ObjectId>> pending;
  std::unordered_set<ObjectId, ObjectIdHash> seen;
  std::size_t looked_at = 0;
  const auto enter = [&](const ObjectId& id) -> Result<void> {
    if (commits_.contains(id) || !quarantine_.mirror_has(id)) return {};
    if (!seen.insert(id).second) return {};
    FR_TRY(const std::string data, quarantine_.read(id, ObjectType::commit));
    FR_TRY(const ParsedCommit commit, parse_commit(data));
    pending.emplace(commit.time, id);
    return {};
  };
  FR_CHECK(enter(tip));
  for (const auto& id : in_order(tip)) {
    for (const auto& parent : commits_.at(id).parents) FR_CHECK(enter(parent));
  }
  if (seen.contains(base)) return true;
  while (!pending.empty() && ++looked_at <= limits_.max_mirror_commits) {
    const ObjectId id = pending.top().second;
    pending.pop();
    FR_TRY(const std::string data, quarantine_.read(id, ObjectType::commit));
    FR_TRY(const ParsedCommit commit, parse_commit(data));
    for (const auto& parent : commit.parents) {
      FR_CHECK(enter(parent));
      if (parent == base) return true;
    }
  }
  return false;
}

}  // namespace flow_runner
