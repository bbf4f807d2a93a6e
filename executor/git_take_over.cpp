#include "executor/git_take_over.hpp"

#include <algorithm>
#include <new>
#include <unordered_set>
#include <utility>

#include "config/quoted_path.hpp"
#include "config/ref_name.hpp"
#include "executor/git_agent_history.hpp"
#include "executor/git_agent_repository.hpp"
#include "executor/git_confinement.hpp"
#include "executor/git_final_tree.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_publication_content.hpp"
#include "executor/git_quarantine.hpp"
#include "executor/git_upper.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_kept_refs = 1000;
constexpr std::uint64_t rework_factor = 16;  ///< how much more may be inflated to follow deltas

/// What the agent's `.git` amounts to.
struct AgentLine {
  std::optional<ObjectId> head;
  std::optional<ObjectId> head_tree;
  bool descends = false;  ///< head is base or descends from it
  std::vector<ObjectId> commits;
  std::optional<std::string> user;
  bool sparse_checkout = false;
};

class TakeOver {
 public:
  TakeOver(const TakeOverRequest& request, Quarantine quarantine, WorkspaceView merged,
           UpperListing listing)
      : request_(request),
        quarantine_(std::move(quarantine)),
        merged_(std::move(merged)),
        listing_(std::move(listing)) {}

  Result<ChangeSet> run(ContentSink& sink) {
    FR_TRY(base_, ObjectId::parse(request_.base, "the base commit"));
    FR_TRY(base_tree_, tree_of(base_));
    read_repository();
    FR_CHECK(commit_rest());
    FR_TRY(const ObjectId head_tree, tree_of(head_));
    FR_TRY(changes_.changes, list_changes(quarantine_, base_tree_, head_tree));
    explain();
    changes_.base = base_.hex();
    changes_.head = head_.hex();
    FR_CHECK(quarantine_.write_refs(head_, changes_.kept_refs));
    FR_CHECK(show(sink));
    return std::move(changes_);
  }

 private:
  Result<ObjectId> tree_of(const ObjectId& commit) const {
    FR_TRY(const std::string data, quarantine_.read(commit, ObjectType::commit));
    FR_TRY(const ParsedCommit parsed, parse_commit(data));
    return parsed.tree;
  }

  /// Whatever is wrong with the agent's repository must not cost its files: nothing fails here.
  void read_repository() {
    InflationBudget budget{.max_object_bytes = request_.max_object_bytes,
                           .total_left = request_.max_total_bytes,
                           .work_left = rework_factor * request_.max_total_bytes};
    auto repository = AgentRepository::open(merged_, budget);
    if (!repository) {
      changes_.repository_broken = repository.error().message;
      return;
    }
    agent_.user = repository->user();
    agent_.sparse_checkout = repository->sparse_checkout();
    AgentHistory history(quarantine_, *repository);
    if (auto read = read_head(*repository, history); !read) {
      changes_.repository_broken = read.error().message;
      agent_.head.reset();
      agent_.head_tree.reset();
      agent_.commits.clear();
      agent_.descends = false;
    }
    keep_others(*repository, history);
  }

  Result<void> read_head(const AgentRepository& repository, AgentHistory& history) {
    FR_TRY(agent_.head, repository.head());
    if (!agent_.head) return {};
    FR_TRY(agent_.commits, history.take(*agent_.head));
    FR_TRY(agent_.head_tree, tree_of(*agent_.head));
    // Asked before anything is decided, so that a history that cannot be shown is not published.
    ComparisonBudget budget;
    const auto pass = [](const TreeChange&) -> Result<void> { return {}; };
    for (const auto& id : agent_.commits) {
      FR_CHECK(compare_with_parent(quarantine_, history.commit(id), budget, pass));
    }
    FR_CHECK(compare_trees(quarantine_, base_tree_, agent_.head_tree, budget,
                           [this](TreeChange change) -> Result<void> {
                             head_paths_.push_back(std::move(change.path));
                             return {};
                           }));
    FR_TRY(agent_.descends, history.descends(*agent_.head, base_));
    return {};
  }

  /// Branches and stash that hold commits which neither the mirror nor the published line has.
  void keep_others(const AgentRepository& repository, AgentHistory& history) {
    std::unordered_set<ObjectId, ObjectIdHash> known(agent_.commits.begin(), agent_.commits.end());
    if (agent_.head && !agent_.descends) {
      if (!agent_.commits.empty()) keep("refs/flow-runner/agent-head", *agent_.head);
    }
    for (const auto& [name, id] : repository.branches()) {
      keep_unknown("refs/flow-runner/branches/" + name, "branch " + name, id, history, known);
    }
    if (const auto stash = repository.stash()) {
      keep_unknown("refs/flow-runner/stash", "stash", *stash, history, known);
    }
  }

  void keep_unknown(const std::string& ref, const std::string& words, const ObjectId& id,
                    AgentHistory& history,
                    const std::unordered_set<ObjectId, ObjectIdHash>& known) {
    // Ref names are UTF-8, but may hold what a log line should not: a direction mark, for example.
    const std::string name = quote_path(words);
    const auto commits = history.take(id);
    if (!commits) {
      changes_.warnings.push_back("the agent's " + name +
                                  " cannot be kept: " + commits.error().message);
      return;
    }
    const bool unknown = std::any_of(commits->begin(), commits->end(),
                                     [&](const ObjectId& one) { return !known.contains(one); });
    if (!unknown || !check_full_ref(ref)) return;
    if (changes_.kept_refs.size() >= max_kept_refs) return;
    keep(ref, id);
    changes_.warnings.push_back(
        "the agent's " + name +
        " holds commits that are not part of the result; they are kept as " + quote_path(ref));
  }

  void keep(const std::string& ref, const ObjectId& id) {
    changes_.kept_refs.emplace_back(ref, id.hex());
  }

  Result<void> commit_rest() {
    const bool on_agent = agent_.head && agent_.descends;
    const ObjectId parent = on_agent ? *agent_.head : base_;
    const ObjectId parent_tree = on_agent ? *agent_.head_tree : base_tree_;
    FinalTreeRequest wanted{.parent_tree = parent_tree,
                            .tracked_tree = on_agent ? std::nullopt : agent_.head_tree,
                            .listing = std::move(listing_),
                            .more_paths = {},
                            .missing = agent_.sparse_checkout ? Missing::hidden : Missing::deleted,
                            .max_file_bytes = request_.max_object_bytes,
                            .max_total_bytes = request_.max_total_bytes};
    if (on_agent) wanted.more_paths = std::move(head_paths_);
    FR_TRY(const FinalTreeAnswer answer, make_final_tree(quarantine_, merged_, std::move(wanted)));
    const ObjectId tree = answer.tree;
    changes_.left_out = answer.left_out;
    changes_.warnings.insert(changes_.warnings.end(), answer.warnings.begin(),
                             answer.warnings.end());
    head_ = parent;
    if (on_agent) {
      for (const auto& id : agent_.commits) changes_.agent_commits.push_back(id.hex());
    }
    if (tree == parent_tree) return {};
    FR_TRY(const std::string author, author_line());
    FR_TRY(const std::string committer, committer_line());
    FR_TRY(head_,
           quarantine_.write(ObjectType::commit, format_commit({.tree = tree,
                                                                .parent = parent,
                                                                .author = author,
                                                                .committer = committer,
                                                                .time = request_.time,
                                                                .message = request_.message})));
    changes_.own_commit = head_.hex();
    return {};
  }

  [[nodiscard]] Result<std::string> author_line() const {
    if (request_.author_override) {
      if (auto given = clean_identity(*request_.author_override)) return given;
    }
    if (agent_.user) return *agent_.user;
    return clean_identity(request_.author);
  }

  [[nodiscard]] Result<std::string> committer_line() const {
    if (request_.committer_override) {
      if (auto given = clean_identity(*request_.committer_override)) return given;
    }
    return clean_identity(request_.committer);
  }

  void explain() {
    auto& warnings = changes_.warnings;
    if (!changes_.repository_broken.empty()) {
      warnings.push_back("the workspace's repository cannot be read (" +
                         changes_.repository_broken +
                         "); its files were taken over as one commit on the base");
    } else if (!agent_.head) {
      warnings.emplace_back(
          "the workspace's branch has no commit; its files were taken over as one commit on the "
          "base");
    } else if (!agent_.descends) {
      warnings.push_back(
          "the workspace's HEAD does not descend from the base (an amended base, a reset or an "
          "orphan branch); its files were taken over as one commit on the base" +
          std::string(agent_.commits.empty()
                          ? ""
                          : ", its own commits are kept as refs/flow-runner/agent-head"));
    }
  }

  Result<void> show(ContentSink& sink) {
    PublicationContent content(quarantine_, sink);
    std::vector<std::string> line = changes_.agent_commits;
    if (!changes_.own_commit.empty()) line.push_back(changes_.own_commit);
    for (const auto& hex : line) {
      FR_TRY(const ObjectId id, ObjectId::parse(hex, "a commit"));
      auto shown = content.show(id);
      if (shown) continue;
      // What cannot be looked at must not be pushed, but is still worth a bundle.
      if (shown.error().code != ErrorCode::invalid_input) return shown.error();
      changes_.repository_broken = "its content cannot be looked at: " + shown.error().message;
      changes_.warnings.push_back("commit " + hex +
                                  " cannot be looked at: " + shown.error().message);
      return {};
    }
    return {};
  }

  const TakeOverRequest& request_;
  Quarantine quarantine_;
  WorkspaceView merged_;
  UpperListing listing_;
  ObjectId base_;
  ObjectId base_tree_;
  ObjectId head_;
  AgentLine agent_;
  std::vector<std::string> head_paths_;  ///< base against the agent's HEAD
  ChangeSet changes_;
};

Result<UpperListing> list_candidates(const TakeOverRequest& request) {
  if (request.copy_mark.empty()) {
    FR_TRY(const WorkspaceView upper, WorkspaceView::open(request.upper));
    return list_upper(upper);
  }
  FR_TRY(const std::string bytes, read_file(request.copy_mark, max_copy_mark_bytes));
  FR_TRY(const CopyMark mark, parse_copy_mark(bytes));
  FR_TRY(const WorkspaceView copy, WorkspaceView::open(request.merged));
  return list_copy(copy, mark);
}

Result<ChangeSet> take_over_within_memory(const TakeOverRequest& request, ContentSink& sink) {
  FR_CHECK(Quarantine::create(request.quarantine, request.mirror));
  FR_TRY(UpperListing listing, list_candidates(request));
  if (request.confine) {
    FR_CHECK(
        confine({.read_only = {request.merged, request.mirror}, .writable = request.quarantine}));
    // libgit2 maps windows of 1 GiB and up to 8 GiB in all by default, more than the limit leaves.
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, std::size_t{64} << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, std::size_t{512} << 20);
  }
  FR_TRY(Quarantine quarantine,
         Quarantine::open(request.quarantine, request.mirror, request.max_object_bytes));
  FR_TRY(WorkspaceView merged, WorkspaceView::open(request.merged));
  return TakeOver(request, std::move(quarantine), std::move(merged), std::move(listing)).run(sink);
}

}  // namespace

Result<ChangeSet> take_over(const TakeOverRequest& request, ContentSink& sink) {
  try {
    return take_over_within_memory(request, sink);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::invalid_input,
                 "the workspace needs more memory to read than a take-over may use (4 GiB)"};
  }
}

}  // namespace flow_runner
