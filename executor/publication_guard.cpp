#include "executor/publication_guard.hpp"

#include <algorithm>
#include <set>

#include "config/glob.hpp"
#include "config/quoted_path.hpp"
#include "config/ref_name.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view branch_prefix = "refs/heads/";
constexpr std::size_t max_named = 5;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

Error refused(const std::string& ref, const std::string& reason) {
  return {ErrorCode::denied, "changes must not be published to " + ref + ": " + reason};
}

}  // namespace

Result<std::string> allowed_target(const PublishSpec& spec, std::string_view default_branch,
                                   const std::vector<std::string>& protected_branches) {
  if (spec.workload_ref.empty())
    return Error{ErrorCode::invalid_input,
                 "there is no ref to publish to: the job has no CI_WORKLOAD_REF"};
  FR_TRY(const std::string ref, full_ref(spec.workload_ref));
  if (ref.starts_with(branch_prefix)) {
    const std::string_view branch = std::string_view(ref).substr(branch_prefix.size());
    if (default_branch.starts_with(branch_prefix))
      default_branch.remove_prefix(branch_prefix.size());
    if (branch == default_branch)
      return refused(ref, "it is the default branch; name another one with CI_WORKLOAD_REF");
    if (default_branch.empty() && (branch == "main" || branch == "master"))
      return refused(ref,
                     "the repository names no default branch, and this may be it; name another "
                     "one with CI_WORKLOAD_REF");
  }
  for (const auto& pattern : protected_branches)
    if (ref_pattern_match(pattern, ref))
      return refused(ref,
                     "it is protected (" + pattern + "); name another one with CI_WORKLOAD_REF");
  const bool allowed =
      std::any_of(spec.allow_refs.begin(), spec.allow_refs.end(),
                  [&](const auto& pattern) { return ref_pattern_match(pattern, ref); });
  if (!allowed)
    return refused(ref, spec.allow_refs.empty()
                            ? std::string("git.allow_refs is empty")
                            : "git.allow_refs has only " + joined(spec.allow_refs));
  return ref;
}

std::vector<ProtectedPath> check_paths(const std::vector<std::string>& paths,
                                       const std::vector<std::string>& protected_paths) {
  std::vector<ProtectedPath> found;
  std::set<std::string_view> seen;
  for (const auto& path : paths) {
    const auto pattern =
        std::find_if(protected_paths.begin(), protected_paths.end(),
                     [&](const auto& candidate) { return path_glob_match(candidate, path); });
    if (pattern != protected_paths.end() && seen.insert(path).second)
      found.push_back({path, *pattern});
  }
  return found;
}

std::string describe(const std::vector<ProtectedPath>& found) {
  if (found.empty()) return {};
  std::string text = "the changes touch protected paths: ";
  for (std::size_t i = 0; i < std::min(found.size(), max_named); ++i) {
    if (i > 0) text += ", ";
    text += quote_path(found[i].path) + " (git.protected_paths has " + found[i].pattern + ")";
  }
  if (found.size() > max_named)
    text += " and " + std::to_string(found.size() - max_named) + " more";
  return text +
         "; nothing was pushed: review the kept changes and apply them yourself, or narrow "
         "git.protected_paths";
}

}  // namespace flow_runner
