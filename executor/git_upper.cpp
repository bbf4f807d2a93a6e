#include "executor/git_upper.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

const std::vector<const char*> subtree_marks = {
    "trusted.overlay.opaque",
    "trusted.overlay.redirect",
    "user.overlay.opaque",
    "user.overlay.redirect",
};

constexpr std::size_t max_named = 20;

enum class Marks { read, none };

/// Goes down with a list of folders still to visit instead of recursion or a descriptor per level:
/// the job decides how deep it is.
class Walk {
 public:
  Walk(const WorkspaceView& view, const UpperLimits& limits, Marks marks, UpperListing& listing)
      : view_(view), limits_(limits), marks_(marks), listing_(listing) {
    for (const auto& candidate : listing_.candidates) path_bytes_ += candidate.path.size();
  }

  Result<void> from(const std::string& top) {
    pending_.push_back(top);
    while (!pending_.empty()) {
      const std::string folder = std::move(pending_.back());
      pending_.pop_back();
      FR_CHECK(visit(folder));
    }
    return {};
  }

 private:
  Result<void> visit(const std::string& folder) {
    FR_TRY(const std::vector<std::string> names, view_.names(folder, limits_.max_candidates));
    for (const auto& name : names) {
      if (name == ".git") {
        if (!folder.empty()) listing_.nested_repositories.push_back(folder);
        continue;
      }
      std::string path = folder.empty() ? name : folder + "/" + name;
      if (path.size() > max_path_bytes) {
        if (listing_.too_deep.size() < max_named &&
            (listing_.too_deep.empty() || listing_.too_deep.back() != folder)) {
          listing_.too_deep.push_back(folder);
        }
        continue;
      }
      FR_CHECK(add(std::move(path)));
    }
    return {};
  }

  Result<void> add(std::string path) {
    path_bytes_ += path.size();
    if (listing_.candidates.size() >= limits_.max_candidates ||
        path_bytes_ > limits_.max_total_path_bytes) {
      return Error{ErrorCode::invalid_input, "the job touched more than " +
                                                 std::to_string(limits_.max_candidates) +
                                                 " files or their paths take more than " +
                                                 std::to_string(limits_.max_total_path_bytes) +
                                                 " bytes; keep build output outside the workspace"};
    }
    FR_TRY(const FileFacts facts, view_.facts(path));
    bool whole_subtree = false;
    if (facts.kind == FileKind::folder) {
      if (marks_ == Marks::read) {
        FR_TRY(whole_subtree, view_.has_attribute(path, subtree_marks));
      }
      pending_.push_back(path);
    }
    listing_.candidates.push_back({.path = std::move(path), .whole_subtree = whole_subtree});
    return {};
  }

  const WorkspaceView& view_;
  const UpperLimits& limits_;
  Marks marks_;
  UpperListing& listing_;
  std::vector<std::string> pending_;
  std::size_t path_bytes_ = 0;
};

}  // namespace

Result<UpperListing> list_upper(const WorkspaceView& upper, const UpperLimits& limits) {
  UpperListing listing;
  Walk walk(upper, limits, Marks::read, listing);
  FR_CHECK(walk.from(""));
  std::sort(listing.candidates.begin(), listing.candidates.end(),
            [](const Candidate& left, const Candidate& right) { return left.path < right.path; });
  return listing;
}

Result<void> list_subtree(const WorkspaceView& merged, const std::string& path,
                          const UpperLimits& limits, UpperListing& listing) {
  return Walk(merged, limits, Marks::none, listing).from(path);
}

}  // namespace flow_runner
