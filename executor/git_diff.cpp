#include "executor/git_diff.hpp"

#include <algorithm>

#include "executor/git_diff_names.hpp"
#include "executor/git_handles.hpp"

namespace flow_runner {
namespace {

/// Joins printed lines into pieces for the sink.
class PatchText {
 public:
  PatchText(ContentSink& sink, std::string commit, std::uint64_t max_bytes)
      : sink_(sink), commit_(std::move(commit)), max_bytes_(max_bytes) {}

  /// For git_diff_print; a value but 0 stops it.
  static int print(const git_diff_delta*, const git_diff_hunk*, const git_diff_line* line,
                   void* self) {
    auto& text = *static_cast<PatchText*>(self);
    if (line->origin == GIT_DIFF_LINE_CONTEXT || line->origin == GIT_DIFF_LINE_ADDITION ||
        line->origin == GIT_DIFF_LINE_DELETION) {
      text.pending_ += line->origin;
    }
    text.pending_.append(line->content, line->content_len);
    if (text.pending_.size() > text.max_bytes_ - text.sent_) {
      text.too_long_ = true;
      return GIT_EUSER;
    }
    if (text.pending_.size() >= piece_bytes) text.flush();
    return 0;
  }

  void flush() {
    if (pending_.empty()) return;
    sink_.begin(ContentKind::patch, commit_, "", pending_.size());
    sink_.bytes(pending_);
    sent_ += pending_.size();
    pending_.clear();
  }

  [[nodiscard]] bool too_long() const { return too_long_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

 private:
  static constexpr std::size_t piece_bytes = 1U << 18;

  ContentSink& sink_;
  std::string commit_;
  std::uint64_t max_bytes_;
  std::string pending_;
  std::uint64_t sent_ = 0;
  bool too_long_ = false;
};

ChangeStatus status_of(git_delta_t status) {
  switch (status) {
    case GIT_DELTA_ADDED:
      return ChangeStatus::added;
    case GIT_DELTA_DELETED:
      return ChangeStatus::deleted;
    case GIT_DELTA_TYPECHANGE:
      return ChangeStatus::type_changed;
    default:
      return ChangeStatus::modified;
  }
}

}  // namespace

Result<GitTree> tree_of_commit(git_repository& repository, const std::string& hex) {
  FR_TRY(const git_oid id, parse_oid(hex, "a commit to compare"));
  GitCommit commit;
  GitTree tree;
  FR_CHECK(git_check(git_commit_lookup(out(commit), &repository, &id), "read commit " + hex));
  FR_CHECK(git_check(git_commit_tree(out(tree), commit.get()), "read the tree of " + hex));
  return tree;
}

Result<GitDiff> diff_trees(git_repository& repository, git_tree& from, git_tree& to,
                           DiffPurpose purpose) {
  git_diff_options options;
  FR_CHECK(git_check(git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION), "diff options"));
  options.id_abbrev = GIT_OID_HEXSZ;
  // `git apply` takes a change of type as a removal and an addition only.
  options.flags = purpose == DiffPurpose::text ? GIT_DIFF_SHOW_BINARY : GIT_DIFF_INCLUDE_TYPECHANGE;
  GitDiff diff;
  FR_CHECK(git_check(git_diff_tree_to_tree(out(diff), &repository, &from, &to, &options),
                     "compare two commits"));
  if (git_diff_num_deltas(diff.get()) > max_diff_paths) {
    return Error{ErrorCode::invalid_input, "more than " + std::to_string(max_diff_paths) +
                                               " paths differ between the two commits"};
  }
  return diff;
}

std::vector<ChangedEntry> changed_entries(git_diff& diff) {
  std::vector<ChangedEntry> entries(git_diff_num_deltas(&diff));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const git_diff_delta& delta = *git_diff_get_delta(&diff, i);
    ChangedEntry& entry = entries[i];
    entry.change.status = status_of(delta.status);
    entry.change.path =
        delta.status == GIT_DELTA_DELETED ? delta.old_file.path : delta.new_file.path;
    entry.old_id = delta.old_file.id;
    entry.new_id = delta.new_file.id;
    entry.old_mode = delta.old_file.mode;
    entry.new_mode = delta.new_file.mode;
  }
  std::sort(entries.begin(), entries.end(), [](const ChangedEntry& a, const ChangedEntry& b) {
    return a.change.path < b.change.path;
  });
  return entries;
}

Result<DiffInfo> diff_commits(const DiffRequest& request, ContentSink& sink) {
  GitRepository repository;
  FR_CHECK(git_check(git_repository_open_bare(out(repository), request.repository.c_str()),
                     "open the repository"));
  FR_TRY(const GitTree from, tree_of_commit(*repository, request.old_commit));
  FR_TRY(const GitTree to, tree_of_commit(*repository, request.new_commit));
  DiffInfo info;
  FR_TRY(const GitDiff names, diff_trees(*repository, *from, *to, DiffPurpose::names));
  for (auto& entry : changed_entries(*names)) info.changes.push_back(std::move(entry.change));
  if (!request.text) return info;

  FR_TRY(const GitDiff diff, diff_trees(*repository, *from, *to, DiffPurpose::text));
  PatchText text(sink, request.new_commit, request.max_bytes);
  const int code = git_diff_print(diff.get(), GIT_DIFF_FORMAT_PATCH, PatchText::print, &text);
  if (text.too_long()) {
    git_error_clear();
    return Error{ErrorCode::invalid_input,
                 "the diff is longer than " + std::to_string(request.max_bytes) + " bytes"};
  }
  FR_CHECK(git_check(code, "print the diff"));
  text.flush();
  info.bytes = text.sent();
  return info;
}

}  // namespace flow_runner
