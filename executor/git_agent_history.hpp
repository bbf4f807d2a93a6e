// AgentHistory: brings the commits that an agent made into the quarantine, each object checked.
#pragma once

#include <cstddef>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/result.hpp"
#include "executor/git_agent_repository.hpp"
#include "executor/git_object_format.hpp"
#include "executor/git_quarantine.hpp"

namespace flow_runner {

struct HistoryLimits {
  std::size_t max_commits = 100'000;
  std::size_t max_objects = 1'000'000;
  std::size_t max_mirror_commits = 100'000;  ///< looked at to find the base
};

class AgentHistory {
 public:
  AgentHistory(Quarantine& quarantine, AgentRepository& repository, HistoryLimits limits = {})
      : quarantine_(quarantine), repository_(repository), limits_(limits) {}

  /// Imports all that `tip` reaches and the mirror does not hold: commits with well-formed trees,
  /// every object there and of the right type. Returns the new commits, parents first; none when
  /// the mirror holds `tip`. invalid_input says what is broken, missing or over a limit; objects
  /// that were read by then stay behind, unreachable.
  Result<std::vector<ObjectId>> take(const ObjectId& tip);

  /// A commit that take() has returned.
  [[nodiscard]] const ParsedCommit& commit(const ObjectId& id) const { return commits_.at(id); }

  /// Whether `base`, a commit of the mirror, is `tip` or an ancestor of it; after take(tip). A base
  /// that is not found among the nearest commits of the mirror counts as no ancestor.
  [[nodiscard]] Result<bool> descends(const ObjectId& tip, const ObjectId& base) const;

 private:
  /// What one take() has added, to be forgotten when it fails: it may lack what lies below.
  struct Added {
    std::vector<ObjectId> commits;
    std::vector<ObjectId> trees;
  };
  Result<void> import_line(const ObjectId& tip, Added& added);
  Result<void> import_commit(const ObjectId& id, Added& added);
  Result<void> import_tree(const ObjectId& root, Added& added);
  Result<std::string> import(const ObjectId& id, ObjectType type);
  [[nodiscard]] std::vector<ObjectId> in_order(const ObjectId& tip) const;

  Quarantine& quarantine_;
  AgentRepository& repository_;
  HistoryLimits limits_;
  std::unordered_map<ObjectId, ParsedCommit, ObjectIdHash> commits_;
  std::unordered_set<ObjectId, ObjectIdHash> trees_;  ///< imported and checked
  std::size_t objects_ = 0;
};

}  // namespace flow_runner
