#include "executor/git_upper.hpp"

#include <algorithm>
#include <functional>
#include <optional>

namespace flow_runner {
namespace {

const std::vector<const char*> subtree_marks = {
    "trusted.overlay.opaque",
    "trusted.overlay.redirect",
    "user.overlay.opaque",
    "user.overlay.redirect",
};

constexpr std::size_t max_named = 20;

/// Goes down with a list of folders still to visit instead of recursion or a descriptor per level:
/// the job decides how deep it is.
class Walk {
 public:
  /// What `sort` says of a path; absent: it is no candidate.
  using Sort = std::function<Result<std::optional<Below>>(const std::string&, const FileFacts&)>;

  Walk(const WorkspaceView& view, const UpperLimits& limits, Sort sort, UpperListing& listing)
      : view_(view), limits_(limits), sort_(std::move(sort)), listing_(listing) {
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
      FR_TRY(const FileFacts facts, view_.facts(path));
      if (facts.kind == FileKind::folder) pending_.push_back(path);
      FR_TRY(const std::optional<Below> below, sort_(path, facts));
      if (below) FR_CHECK(add({.path = std::move(path), .below = *below}));
    }
    return {};
  }

  Result<void> add(Candidate candidate) {
    path_bytes_ += candidate.path.size();
    if (listing_.candidates.size() >= limits_.max_candidates ||
        path_bytes_ > limits_.max_total_path_bytes) {
      return Error{ErrorCode::invalid_input, "the job touched more than " +
                                                 std::to_string(limits_.max_candidates) +
                                                 " files or their paths take more than " +
                                                 std::to_string(limits_.max_total_path_bytes) +
                                                 " bytes; keep build output outside the workspace"};
    }
    listing_.candidates.push_back(std::move(candidate));
    return {};
  }

  const WorkspaceView& view_;
  const UpperLimits& limits_;
  Sort sort_;
  UpperListing& listing_;
  std::vector<std::string> pending_;
  std::size_t path_bytes_ = 0;
};

void sort_by_path(UpperListing& listing) {
  std::sort(listing.candidates.begin(), listing.candidates.end(),
            [](const Candidate& left, const Candidate& right) { return left.path < right.path; });
}

std::optional<Below> sort_copied(const CopyMark& mark, const std::string& path,
                                 const FileFacts& facts) {
  const bool touched = !mark.untouched(facts.change_time_ns);
  if (facts.kind == FileKind::folder) {
    // Asked first: a copy that is untouched lies in a folder that may be another one.
    const auto copied = mark.folders.find(path);
    if (copied == mark.folders.end() || copied->second != facts.inode) return Below::all;
    return touched ? std::optional(Below::missing) : std::nullopt;
  }
  return touched ? std::optional(Below::listed) : std::nullopt;
}

}  // namespace

Result<UpperListing> list_upper(const WorkspaceView& upper, const UpperLimits& limits) {
  UpperListing listing;
  const auto sort = [&](const std::string& path,
                        const FileFacts& facts) -> Result<std::optional<Below>> {
    if (facts.kind != FileKind::folder) return std::optional(Below::listed);
    FR_TRY(const bool marked, upper.has_attribute(path, subtree_marks));
    return std::optional(marked ? Below::all : Below::listed);
  };
  FR_CHECK(Walk(upper, limits, sort, listing).from(""));
  sort_by_path(listing);
  return listing;
}

Result<UpperListing> list_copy(const WorkspaceView& copy, const CopyMark& mark,
                               const UpperLimits& limits) {
  UpperListing listing;
  const auto sort = [&](const std::string& path,
                        const FileFacts& facts) -> Result<std::optional<Below>> {
    return sort_copied(mark, path, facts);
  };
  FR_TRY(const FileFacts top, copy.facts(""));
  if (const auto below = sort_copied(mark, "", top))
    listing.candidates.push_back({.path = "", .below = *below});
  FR_CHECK(Walk(copy, limits, sort, listing).from(""));
  sort_by_path(listing);
  return listing;
}

Result<void> list_subtree(const WorkspaceView& merged, const std::string& path,
                          const UpperLimits& limits, UpperListing& listing) {
  const auto sort = [](const std::string&, const FileFacts&) -> Result<std::optional<Below>> {
    return std::optional(Below::listed);
  };
  return Walk(merged, limits, sort, listing).from(path);
}

}  // namespace flow_runner
