// What lies between the base and the head of a publication: the changed paths and the new content.
#pragma once

#include <unordered_set>
#include <vector>

#include "config/result.hpp"
#include "executor/git_content_sink.hpp"
#include "executor/git_object_format.hpp"
#include "executor/git_protocol.hpp"
#include "executor/git_quarantine.hpp"
#include "executor/git_tree_changes.hpp"

namespace flow_runner {

/// The differences of two trees, sorted by path, those under Git LFS by the .gitattributes of
/// either tree marked.
Result<std::vector<Change>> list_changes(Quarantine& objects, const ObjectId& before,
                                         const ObjectId& after);

/// Compares a commit with its first parent (with nothing when it has none).
Result<void> compare_with_parent(const Quarantine& objects, const ParsedCommit& commit,
                                 ComparisonBudget& budget,
                                 const std::function<Result<void>(TreeChange)>& found);

/// Shows commits to a ContentSink. A blob is shown once for all commits.
class PublicationContent {
 public:
  PublicationContent(const Quarantine& objects, ContentSink& sink)
      : objects_(objects), sink_(sink) {}
  /// Shows the raw commit as a message, each changed path, and each new blob.
  Result<void> show(const ObjectId& commit);

 private:
  void piece(ContentKind kind, std::string_view commit, std::string_view path,
             std::string_view bytes);

  const Quarantine& objects_;
  ContentSink& sink_;
  ComparisonBudget budget_;
  std::unordered_set<ObjectId, ObjectIdHash> shown_;
};

}  // namespace flow_runner
