#include "executor/repository_refs.hpp"

#include "config/ref_name.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view branch_prefix = "refs/heads/";
constexpr std::string_view tag_prefix = "refs/tags/";

bool means_head(const RepositorySpec& spec) { return spec.ref.empty() || spec.ref == "HEAD"; }

/// The full refs that a job's ref may stand for, the best first.
std::vector<std::string> candidates(const RepositorySpec& spec) {
  if (means_head(spec) || is_commit_id(spec.ref)) return {};
  if (spec.ref.starts_with("refs/")) return {spec.ref};
  return {std::string(branch_prefix) + spec.ref, std::string(tag_prefix) + spec.ref};
}

std::string short_branch(std::string_view name) {
  if (name.starts_with(branch_prefix)) name.remove_prefix(branch_prefix.size());
  return std::string(name);
}

std::optional<std::string> find_commit(const RemoteRefs& refs, const std::string& name) {
  if (auto peeled = refs.find(name + "^{}")) return peeled;
  return refs.find(name);
}

Result<std::string> choose_commit(const RepositorySpec& spec, const RemoteRefs& refs,
                                  std::string_view where) {
  if (is_commit_id(spec.ref)) return spec.ref;
  if (means_head(spec)) {
    if (auto head = refs.find("HEAD")) return *head;
    return Error{ErrorCode::not_found, "HEAD of " + std::string(where) +
                                           " leads to no commit: name a branch with --ref, or "
                                           "make a first commit when the repository is empty"};
  }
  for (const auto& name : candidates(spec))
    if (auto commit = find_commit(refs, name)) return *commit;
  std::string message =
      "there is no branch or tag '" + printable(spec.ref) + "' in " + std::string(where);
  const bool hexadecimal = spec.ref.size() >= 4 && spec.ref.size() < 40 &&
                           spec.ref.find_first_not_of("0123456789abcdef") == std::string::npos;
  message += hexadecimal            ? ": a commit must be given with all of its 40 digits"
             : refs.commits.empty() ? ": the repository may have no commits yet"
                                    : ": check --ref";
  return Error{ErrorCode::not_found, std::move(message)};
}

}  // namespace

Result<std::vector<std::string>> names_to_ask(const RepositorySpec& spec,
                                              std::string_view workload_ref) {
  std::vector<std::string> names;
  for (const auto& name : candidates(spec)) {
    FR_CHECK(check_full_ref(name));
    names.push_back(name);
    if (!name.starts_with(branch_prefix)) names.push_back(name + "^{}");
  }
  if (!spec.default_branch.empty()) {
    FR_CHECK(check_branch_name(short_branch(spec.default_branch)));
    names.push_back(std::string(branch_prefix) + short_branch(spec.default_branch));
  }
  if (!workload_ref.empty()) {
    FR_CHECK(check_full_ref(workload_ref));
    names.emplace_back(workload_ref);
  }
  return names;
}

Result<RepositoryTips> choose_tips(const RepositorySpec& spec, std::string_view workload_ref,
                                   const RemoteRefs& refs, std::string_view where) {
  RepositoryTips tips;
  FR_TRY(tips.commit, choose_commit(spec, refs, where));
  const bool head_is_branch = refs.head_branch.starts_with(branch_prefix);
  const std::string head_branch = head_is_branch ? short_branch(refs.head_branch) : std::string();
  tips.default_branch =
      spec.default_branch.empty() ? head_branch : short_branch(spec.default_branch);
  if (!tips.default_branch.empty()) {
    // The name is the server's word, and becomes a ref of the workspace.
    FR_CHECK(check_branch_name(tips.default_branch));
    tips.default_tip = tips.default_branch == head_branch
                           ? refs.find("HEAD")
                           : refs.find(std::string(branch_prefix) + tips.default_branch);
  }
  if (!workload_ref.empty()) tips.workload_tip = refs.find(workload_ref);
  return tips;
}

}  // namespace flow_runner
