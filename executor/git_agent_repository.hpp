// AgentRepository: the workspace's `.git` read as plain data, never opened as a repository.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.hpp"
#include "executor/git_agent_pack.hpp"
#include "executor/git_object_format.hpp"
#include "executor/git_workspace_view.hpp"

namespace flow_runner {

/// Index, hooks, alternates, grafts, replacements, `shallow`, pack indexes, includes: none is read.
class AgentRepository {
 public:
  /// invalid_input: `.git` is no real folder, or its refs are over a limit.
  static Result<AgentRepository> open(const WorkspaceView& workspace, InflationBudget budget);

  /// The commit of HEAD; std::nullopt on a branch that has none yet. invalid_input: no good HEAD.
  [[nodiscard]] Result<std::optional<ObjectId>> head() const;
  /// Local branches by short name, sorted; only names that git accepts.
  [[nodiscard]] std::vector<std::pair<std::string, ObjectId>> branches() const;
  [[nodiscard]] std::optional<ObjectId> stash() const;
  /// "Name <mail>" from the configuration's user section, as far as it has both.
  [[nodiscard]] std::optional<std::string> user() const { return user_; }
  [[nodiscard]] bool sparse_checkout() const noexcept { return sparse_checkout_; }

  /// An object as the agent has it, its id checked; std::nullopt when there is none. Packs are read
  /// when the first object is not loose. invalid_input: broken or over the budget.
  Result<std::optional<RawObject>> find(const ObjectId& id);

 private:
  AgentRepository(WorkspaceView folder, InflationBudget budget)
      : folder_(std::move(folder)), budget_(budget) {}
  Result<void> read_loose_refs();
  Result<void> read_packed_refs();
  Result<void> read_config();
  Result<void> read_packs();
  Result<std::optional<RawObject>> find_loose(const ObjectId& id);

  WorkspaceView folder_;
  InflationBudget budget_;
  std::map<std::string, ObjectId> refs_;  ///< below refs/heads/, and refs/stash
  std::optional<std::string> user_;
  bool sparse_checkout_ = false;
  bool packs_read_ = false;
  std::vector<AgentPack> packs_;
};

/// One `name = value` of a git configuration, section and name in lower case; for tests too.
struct ConfigValue {
  std::string section;
  std::string name;
  std::string value;
};

/// Reads a configuration as text (git-config(1), "Syntax"): lines that make no sense are passed
/// over, sections with a subsection keep it in the section's name, includes are values like others.
std::vector<ConfigValue> parse_git_config(std::string_view text);

}  // namespace flow_runner
