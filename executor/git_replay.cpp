#include "executor/git_replay.hpp"

#include <algorithm>
#include <set>

#include "executor/git_handles.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_named_conflicts = 100;

/// The commits of the line, oldest first.
struct Line {
  std::vector<git_oid> commits;
  std::string merge;  ///< a merge that stands in the way
};

Result<GitCommit> find_commit(git_repository& repository, const git_oid& id) {
  GitCommit commit;
  FR_CHECK(
      git_check(git_commit_lookup(out(commit), &repository, &id), "read commit " + to_hex(id)));
  return commit;
}

Result<Line> read_line(git_repository& repository, const git_oid& base, const git_oid& head) {
  Line line;
  git_oid at = head;
  while (git_oid_equal(&at, &base) == 0) {
    if (line.commits.size() == max_replayed_commits) {
      return Error{ErrorCode::invalid_input, "more than " + std::to_string(max_replayed_commits) +
                                                 " commits lie between the base and the head"};
    }
    FR_TRY(const GitCommit commit, find_commit(repository, at));
    const unsigned parents = git_commit_parentcount(commit.get());
    if (parents > 1) {
      line.merge = to_hex(at);
      return line;
    }
    if (parents == 0) {
      return Error{ErrorCode::invalid_input, to_hex(head) + " does not descend from " +
                                                 to_hex(base) + ": there is nothing to replay"};
    }
    line.commits.push_back(at);
    at = *git_commit_parent_id(commit.get(), 0);
  }
  std::reverse(line.commits.begin(), line.commits.end());
  return line;
}

Result<std::vector<std::string>> conflicting_paths(git_index& index) {
  GitIndexConflicts conflicts;
  FR_CHECK(
      git_check(git_index_conflict_iterator_new(out(conflicts), &index), "list the conflicts"));
  std::set<std::string> paths;
  const git_index_entry* ancestor = nullptr;
  const git_index_entry* ours = nullptr;
  const git_index_entry* theirs = nullptr;
  while (git_index_conflict_next(&ancestor, &ours, &theirs, conflicts.get()) == 0) {
    for (const git_index_entry* side : {ancestor, ours, theirs}) {
      if (side != nullptr && paths.size() < max_named_conflicts) paths.insert(side->path);
    }
  }
  return std::vector<std::string>(paths.begin(), paths.end());
}

/// Makes `original` again with another tree and parent.
Result<git_oid> write_again(git_repository& repository, const git_commit& original,
                            const git_oid& tree_id, const git_commit& parent) {
  GitTree tree;
  FR_CHECK(git_check(git_tree_lookup(out(tree), &repository, &tree_id), "read the replayed tree"));
  git_oid id;
  const git_commit* parents[] = {&parent};
  FR_CHECK(git_check(
      git_commit_create(&id, &repository, nullptr, git_commit_author(&original),
                        git_commit_committer(&original), git_commit_message_encoding(&original),
                        git_commit_message_raw(&original), tree.get(), 1, parents),
      "write the replayed commit"));
  return id;
}

/// One step: the new head, or no head and the reason.
struct Step {
  git_oid head{};
  ReplayInfo stopped;
};

Result<Step> pick(git_repository& repository, const git_oid& picked_id, const git_oid& onto_id) {
  FR_TRY(const GitCommit picked, find_commit(repository, picked_id));
  FR_TRY(const GitCommit onto, find_commit(repository, onto_id));
  if (git_oid_equal(git_commit_parent_id(picked.get(), 0), &onto_id) != 0)
    return Step{picked_id, {}};

  git_merge_options options;
  FR_CHECK(git_check(git_merge_options_init(&options, GIT_MERGE_OPTIONS_VERSION), "merge options"));
  GitIndex index;
  FR_CHECK(git_check(
      git_cherrypick_commit(out(index), &repository, picked.get(), onto.get(), 0, &options),
      "replay commit " + to_hex(picked_id)));
  if (git_index_has_conflicts(index.get()) != 0) {
    Step step;
    FR_TRY(step.stopped.conflicts, conflicting_paths(*index));
    step.stopped.reason =
        "commit " + to_hex(picked_id) + " does not apply on top of " + to_hex(onto_id);
    return step;
  }
  git_oid tree;
  FR_CHECK(git_check(git_index_write_tree_to(&tree, index.get(), &repository),
                     "write the replayed tree"));
  // A change that is there already leaves nothing to commit, unless the commit was empty from the
  // start.
  GitCommit old_parent;
  FR_CHECK(git_check(git_commit_parent(out(old_parent), picked.get(), 0), "read a parent"));
  const bool was_empty =
      git_oid_equal(git_commit_tree_id(picked.get()), git_commit_tree_id(old_parent.get())) != 0;
  if (!was_empty && git_oid_equal(&tree, git_commit_tree_id(onto.get())) != 0)
    return Step{onto_id, {}};
  FR_TRY(const git_oid head, write_again(repository, *picked, tree, *onto));
  return Step{head, {}};
}

}  // namespace

Result<ReplayInfo> replay_commits(const ReplayRequest& request) {
  FR_TRY(const git_oid base, parse_oid(request.base, "the base"));
  FR_TRY(const git_oid head, parse_oid(request.head, "the head"));
  FR_TRY(git_oid at, parse_oid(request.onto, "the commit to replay onto"));
  GitRepository repository;
  FR_CHECK(git_check(git_repository_open_bare(out(repository), request.quarantine.c_str()),
                     "open the quarantine"));
  FR_CHECK(find_commit(*repository, at));
  FR_TRY(const Line line, read_line(*repository, base, head));
  if (!line.merge.empty()) {
    return ReplayInfo{{}, {}, "commit " + line.merge + " is a merge, which cannot be replayed"};
  }
  for (const git_oid& commit : line.commits) {
    FR_TRY(Step step, pick(*repository, commit, at));
    if (!step.stopped.reason.empty()) return std::move(step.stopped);
    at = step.head;
  }
  return ReplayInfo{to_hex(at), {}, {}};
}

}  // namespace flow_runner
