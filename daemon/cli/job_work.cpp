#include "daemon/cli/job_work.hpp"

#include <algorithm>

#include "executor/changes.hpp"
#include "executor/script.hpp"

namespace flow_runner::cli {

namespace {

// Quotes are for a shell: a path without need of them reads better bare.
std::string word(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-:@+=,").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), plain) ? text : shell_quote(text);
}

}  // namespace

std::string state_option(const StateDirectory& state) {
  return state.root == default_state_directory() ? "" : " --state-dir " + word(state.root.string());
}

std::optional<KeptWorkspace> kept_workspace(const JobDirectory& directory,
                                            const std::vector<JournalEntry>& journal) {
  const auto text = [](const nlohmann::json& data, const char* key) {
    const auto found = data.find(key);
    return found != data.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto is_true = [](const nlohmann::json& data, const char* key) {
    const auto found = data.find(key);
    return found != data.end() && found->is_boolean() && found->get<bool>();
  };
  std::optional<KeptWorkspace> kept;
  std::string layers;
  bool whole = false;
  for (const JournalEntry& entry : journal) {
    if (entry.state == "workspace") {
      const auto record = workspace_record_from_json(entry.data);
      if (!record) continue;
      // overlayfs wants the topmost first.
      for (const auto& layer : record->snapshot_layers) layers.insert(0, ":" + layer.string());
    }
    if (entry.state != "workspace_kept") continue;
    whole = is_true(entry.data, "whole");
    kept = KeptWorkspace{.path = text(entry.data, "path"),
                         .root = {},
                         .only_copy = is_true(entry.data, "only_copy"),
                         .mount = {}};
  }
  std::error_code error;
  if (!kept || !std::filesystem::exists(kept->path, error)) return std::nullopt;
  if (const auto root = directory.overlay() / "root/upper"; std::filesystem::exists(root, error))
    kept->root = root;
  if (!whole)
    kept->mount = "mount -t overlay -o " +
                  word("ro,lowerdir=" + kept->path + ":" +
                       (directory.overlay() / "workspace/git").string() + layers) +
                  " overlay /mnt";
  return kept;
}

JobWork job_work(const JobResult& result, const Job* job, const std::string& state_option,
                 const std::optional<KeptWorkspace>& workspace) {
  JobWork work{.where = "nothing", .steps = {}};
  const auto ours = [&](const char* verb, const std::string& options = {}) {
    return "flow-runner " + std::string(verb) + " " + result.id + options + state_option;
  };
  if (!result.bundle.empty()) {
    work.where = "bundle";
    work.steps.push_back({"see", ours("show", " --diff")});
    work.steps.push_back({"apply", ours("apply")});
    // The guard's objection must be read first, and then overridden by the person's own word.
    if (result.cause == JobCause::publish_refused)
      work.steps.push_back({"publish all the same", ours("publish", " --override-guard")});
    else if (result.pushed_ref.empty())
      work.steps.push_back({"publish", ours("publish")});
  }
  if (!result.pushed_ref.empty()) {
    work.where = "pushed";
    if (job != nullptr) {
      const std::string& url = job->publish.url.empty() ? job->repository.url : job->publish.url;
      work.steps.insert(work.steps.begin(),
                        {"fetch", "git fetch " + word(url) + " " + word(result.pushed_ref)});
    }
  }
  work.workspace = workspace;
  if (!workspace) return work;
  if (work.where == "nothing") work.where = "workspace";
  if (!workspace->mount.empty())
    work.steps.push_back({"look at the workspace whole, as root", workspace->mount});
  if (!workspace->only_copy)
    work.steps.push_back({"remove the workspace", ours("prune --workspace")});
  return work;
}

nlohmann::json to_json(const JobWork& work) {
  nlohmann::json steps = nlohmann::json::array();
  for (const NextStep& step : work.steps)
    steps.push_back({{"does", step.does}, {"command", step.command}});
  nlohmann::json workspace;
  if (const auto& kept = work.workspace)
    workspace = {{"path", kept->path},
                 {"root", kept->root.empty() ? nlohmann::json() : nlohmann::json(kept->root)},
                 {"only_copy", kept->only_copy}};
  return {{"where", work.where}, {"steps", std::move(steps)}, {"workspace", std::move(workspace)}};
}

}  // namespace flow_runner::cli
