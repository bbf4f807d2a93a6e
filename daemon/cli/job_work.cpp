#include "daemon/cli/job_work.hpp"

#include <algorithm>

#include "executor/script.hpp"

namespace flow_runner::cli {

namespace {

// Quotes are for a shell: a path without need of them reads better bare.
std::string word(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-:@+").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), plain) ? text : shell_quote(text);
}

}  // namespace

std::string state_option(const StateDirectory& state) {
  return state.root == default_state_directory() ? "" : " --state-dir " + word(state.root.string());
}

JobWork job_work(const JobResult& result, const Job* job, const std::string& state_option) {
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
  return work;
}

nlohmann::json to_json(const JobWork& work) {
  nlohmann::json steps = nlohmann::json::array();
  for (const NextStep& step : work.steps)
    steps.push_back({{"does", step.does}, {"command", step.command}});
  return {{"where", work.where}, {"steps", std::move(steps)}};
}

}  // namespace flow_runner::cli
