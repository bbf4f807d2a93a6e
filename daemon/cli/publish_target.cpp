#include "daemon/cli/publish_target.hpp"

#include <filesystem>
#include <system_error>

#include "executor/publication_guard.hpp"

namespace flow_runner::cli {

namespace fs = std::filesystem;

namespace {

bool has_work_tree(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / ".git", error);
}

}  // namespace

Result<PublishTarget> publish_target(const Job& job, const std::string& to,
                                     const std::string& workload_ref, TokenGiven token) {
  std::string address = job.publish.url.empty() ? job.repository.url : job.publish.url;
  if (!to.empty()) {
    std::error_code error;
    const bool folder = fs::is_directory(to, error);
    address = folder ? fs::absolute(to).lexically_normal().string() : to;
  } else if (job.publish.mode == PublishMode::local) {
    address = job.repository.url;
  }
  FR_TRY(RemoteUrl url, parse_remote_url(address, token));
  PublishTarget target{.url = std::move(url), .spec = job.publish};
  target.spec.url = target.url.text();
  if (!workload_ref.empty()) target.spec.workload_ref = workload_ref;
  // A push into a repository that somebody works in: a branch there, and nothing else touched.
  target.spec.mode = target.url.local() && has_work_tree(target.url.path) ? PublishMode::local
                                                                          : PublishMode::remote;
  return target;
}

std::string guard_objection(const Job& job, const JobResult& result,
                            const std::vector<JournalEntry>& journal) {
  if (result.cause == JobCause::publish_refused)
    return result.message.empty() ? "the push was refused" : result.message;
  bool looked_at = false;
  for (const JournalEntry& entry : journal) {
    if (entry.state != "kept") continue;
    looked_at = true;
    const auto refusal = entry.data.find("refusal");
    if (refusal != entry.data.end() && refusal->is_string() &&
        !refusal->get_ref<const std::string&>().empty())
      return refusal->get<std::string>();
  }
  // A salvage has no secrets to look for.
  if (result.cause == JobCause::runner_interrupted)
    return "the job was interrupted, so its changes were never looked through for secrets";
  if (!looked_at) return "it is not known whether the changes hold a secret";
  std::vector<std::string> paths;
  for (const Change& change : result.changes) paths.push_back(change.path);
  return describe(check_paths(paths, job.publish.protected_paths));
}

}  // namespace flow_runner::cli
