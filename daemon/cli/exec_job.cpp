#include "daemon/cli/exec_job.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include "config/network_presets.hpp"
#include "config/version.hpp"
#include "executor/publication_guard.hpp"
#include "executor/remote_url.hpp"
#include "executor/timestamp.hpp"

namespace flow_runner::cli {

namespace {

Error wrong_use(std::string message) { return {ErrorCode::invalid_input, std::move(message)}; }

bool lists(const Flow& flow, std::string_view name) {
  return std::find(flow.variables.begin(), flow.variables.end(), name) != flow.variables.end();
}

const GivenSecret* find_secret(const ExecInputs& inputs, std::string_view name) {
  // The later one wins, as with variables.
  for (auto it = inputs.secrets.rbegin(); it != inputs.secrets.rend(); ++it)
    if (it->name == name) return &*it;
  return nullptr;
}

const GivenSecret* choose_token(const ExecOptions& options, const ExecInputs& inputs) {
  if (!options.git_token_from.empty()) return find_secret(inputs, options.git_token_from);
  for (const std::string& name : inputs.flow.variables)
    if (name.starts_with("GITLAB_TOKEN_"))
      if (const GivenSecret* secret = find_secret(inputs, name)) return secret;
  return find_secret(inputs, "GITLAB_TOKEN");
}

// A folder's name as one part of a path inside the container.
std::string project_part(const std::filesystem::path& folder) {
  std::string name = folder.filename().string();
  if (name.size() > 4 && name.ends_with(".git")) name.resize(name.size() - 4);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    if (!plain) c = '-';
  }
  while (name.starts_with('.') || name.starts_with('-')) name.erase(0, 1);
  return name.empty() ? "repository" : name;
}

// An origin such as ../central.git is relative to the work tree.
std::string absolute_origin(const LocalRepository& local) {
  const bool has_scheme = local.origin.find("://") != std::string::npos;
  const auto colon = local.origin.find(':');
  const bool ssh_style = colon != std::string::npos && local.origin.find('/') > colon;
  if (local.origin.empty() || local.origin.starts_with('/') || has_scheme || ssh_style)
    return local.origin;
  return (local.folder / local.origin).lexically_normal().string();
}

std::string default_workload_ref(std::uint64_t chance) {
  char text[32];
  std::snprintf(text, sizeof text, "workloads/%011llx",
                static_cast<unsigned long long>(chance & 0xfff'ffff'ffffULL));
  return text;
}

Result<void> set_remote_repository(const ExecOptions& options, TokenGiven token, Job& job) {
  FR_TRY(const RemoteUrl url, parse_remote_url(options.repo, token));
  job.repository.url = url.text();
  job.repository.project_path = url.project_path();
  if (options.publish == PublishMode::local)
    return wrong_use(
        "--push-local makes a branch in a local repository, and --repo is an address: use "
        "--push");
  if (options.dirty == DirtyTree::included)
    return wrong_use("--include-uncommitted needs a folder, and --repo is an address");
  job.publish.url = job.repository.url;
  return {};
}

Result<void> set_local_repository(const ExecOptions& options, const LocalRepository& local,
                                  TokenGiven token, Job& job) {
  job.repository.url = local.folder.string();
  job.repository.default_branch = local.default_branch;
  job.repository.project_path = "local/" + project_part(local.folder);
  const bool publishes = options.publish != PublishMode::none;
  if (local.bare && options.dirty == DirtyTree::included)
    return wrong_use(local.folder.string() + " is bare: it has no uncommitted files to include");
  job.repository.include_work_tree =
      !local.bare && options.ref.empty() && (!publishes || options.dirty == DirtyTree::included);
  job.publish.url = job.repository.url;
  if (options.publish == PublishMode::local) return {};
  if (local.origin.empty()) {
    // A bare repository is what others push to: it is its own remote.
    if (options.publish == PublishMode::remote && !local.bare)
      return wrong_use(
          local.folder.string() +
          " has no remote named origin to push to: add one (git remote add origin URL), "
          "name the target with --repo URL, or make a local branch with --push-local");
    return {};
  }
  const auto origin = parse_remote_url(absolute_origin(local), token);
  if (origin) {
    if (!origin->local()) job.repository.project_path = origin->project_path();
    job.publish.url = origin->text();
    return {};
  }
  if (options.publish == PublishMode::remote)
    return wrong_use("the remote origin of " + local.folder.string() +
                     " cannot be pushed to: " + origin.error().message);
  // A dry run never speaks to origin; the address only gives the project its name.
  if (const auto named = parse_remote_url(absolute_origin(local), TokenGiven::yes);
      named && !named->local())
    job.repository.project_path = named->project_path();
  return {};
}

void set_limits(const ExecOptions& options, const Flow& flow, ExecJob& result) {
  JobLimits& limits = result.job.limits;
  if (options.limits.memory_bytes) limits.memory_bytes = *options.limits.memory_bytes;
  if (options.limits.cpus) limits.cpus = *options.limits.cpus;
  if (options.limits.pids) limits.pids = *options.limits.pids;
  if (options.limits.disk_bytes) limits.disk_bytes = *options.limits.disk_bytes;
  if (options.timeout) limits.timeout = *options.timeout;
  result.job.required_layers = options.required_layers;
  narrow(result.job, flow.extensions);
}

void compare_modes(NetworkMode given, NetworkMode asked, std::vector<std::string>& warnings) {
  const std::string given_word(to_string(given));
  const std::string asked_word(to_string(asked));
  if (asked > given)
    warnings.push_back("the flow asks for the network " + asked_word + " and gets " + given_word +
                       ", because a flow can only narrow what it is given: --network " +
                       asked_word + " allows it");
  else if (given == NetworkMode::host && asked == NetworkMode::none)
    warnings.emplace_back("the flow asks for no network, so --network host has no effect");
}

// A literal or wildcard must be allowed as such; whether a name is, the policy says.
bool is_allowed(const NetworkPolicy& policy, const NetworkRule& rule) {
  const auto same = [&](const NetworkRule& given) { return to_string(given) == to_string(rule); };
  if (std::any_of(policy.allow.begin(), policy.allow.end(), same)) return true;
  if (rule.wildcard || rule.prefix_bits || rule.port == 0) return false;
  const NetworkPolicy alone{.allow = policy.allow, .deny = {}, .narrowed_to = {}};
  return decide(alone, rule.host, rule.port).allowed;
}

void report_unmet_entries(const NetworkPolicy& policy, std::vector<std::string>& warnings) {
  if (!policy.narrowed_to) return;
  std::string missing;
  for (const NetworkRule& rule : *policy.narrowed_to)
    if (rule.origin == flow_network_origin && !is_allowed(policy, rule))
      missing += " --network-allow " + to_string(rule);
  if (!missing.empty())
    warnings.push_back("the flow asks for hosts that it is not given; to give them:" + missing);
}

// After the variables, among which the preset `gitlab` looks.
Result<void> set_network(const ExecOptions& options, const ExecInputs& inputs, ExecJob& result) {
  Job& job = result.job;
  job.network = options.network;
  job.network_policy.allow = options.earlier_allow;
  job.network_policy.deny = options.earlier_deny;
  job.network_policy.deny.insert(job.network_policy.deny.end(), options.network_deny.begin(),
                                 options.network_deny.end());
  for (const std::string& entry : options.network_allow) {
    FR_TRY(const auto rules,
           expand_network_entry(entry, "--network-allow", job, inputs.registries));
    job.network_policy.allow.insert(job.network_policy.allow.end(), rules.begin(), rules.end());
    if (rules.empty())
      result.warnings.push_back("--network-allow " + entry + ": nothing of it is known here");
  }
  // The host's network includes its registries: a flow may narrow it to them.
  if (job.network == NetworkMode::host) job.network_policy.allow = inputs.registries;
  const FlowExtensions& asked = inputs.flow.extensions;
  if (asked.network) compare_modes(job.network, *asked.network, result.warnings);
  narrow_network(job, asked);
  if (job.network == NetworkMode::proxy) report_unmet_entries(job.network_policy, result.warnings);
  return {};
}

// Names that reach a script unlisted, because GitLab itself gives them.
bool is_predefined_name(std::string_view name) {
  for (const std::string_view prefix : {"AI_FLOW_", "CI_", "GIT_AUTHOR_", "GIT_COMMITTER_"})
    if (name.starts_with(prefix)) return true;
  return false;
}

std::string host_of(const std::string& address) {
  const auto url = parse_remote_url(address, TokenGiven::yes);
  if (!url || url->local()) return {};
  return url->port == 0 ? url->host : url->host + ":" + std::to_string(url->port);
}

void add_predefined(const ExecOptions& options, const ExecInputs& inputs, Job& job) {
  const auto add = [&](const char* name, std::string value, const char* origin = "predefined") {
    job.variables.push_back(
        {.name = name, .value = Secret(std::move(value)), .raw = true, .origin = origin});
  };
  const std::string& project = job.repository.project_path;
  const auto slash = project.rfind('/');
  add("AI_FLOW_CONTEXT", inputs.context, "--context");
  add("AI_FLOW_EVENT", options.event, "--event");
  add("AI_FLOW_INPUT", inputs.input, "--input");
  add("AI_FLOW_PROJECT_PATH", project);
  const std::string host = host_of(job.publish.url);
  if (!host.empty()) add("AI_FLOW_GITLAB_HOSTNAME", host);
  add("CI_SERVER", "yes");
  add("CI_PROJECT_NAME", project.substr(slash + 1));
  add("CI_PROJECT_PATH", project);
  add("CI_PROJECT_NAMESPACE", project.substr(0, slash));
  add("CI_PROJECT_DIR", "/builds/" + project);
  if (!host.empty() && job.publish.url.starts_with("http")) {
    const bool suffixed = job.publish.url.ends_with(".git");
    add("CI_PROJECT_URL", job.publish.url.substr(0, job.publish.url.size() - (suffixed ? 4 : 0)));
  }
  if (!job.repository.default_branch.empty())
    add("CI_DEFAULT_BRANCH", job.repository.default_branch);
  add("CI_JOB_ID", job.id);
  add("CI_JOB_NAME", "workload");
  add("CI_JOB_IMAGE", job.flow.image.name);
  add("CI_JOB_STARTED_AT", format_timestamp(inputs.now));
  add("CI_JOB_TIMEOUT", std::to_string(job.limits.timeout / std::chrono::seconds(1)));
  add("CI_PIPELINE_ID", job.id);
  add("CI_RUNNER_DESCRIPTION", "flow-runner exec");
  add("CI_RUNNER_VERSION", std::string(version()));
  add("CI_WORKLOAD_REF", job.publish.workload_ref);
}

void add_given(const ExecOptions& options, const ExecInputs& inputs, ExecJob& result) {
  Job& job = result.job;
  std::set<std::string, std::less<>> refused;
  const auto add = [&](const char* option, Variable variable) {
    if (!lists(job.flow, variable.name) && is_predefined_name(variable.name)) {
      if (refused.insert(variable.name).second)
        result.warnings.push_back(
            std::string(option) + " " + variable.name +
            ": the flow does not list this name under `variables`, so it does "
            "not reach the job");
      return;
    }
    job.variables.push_back(std::move(variable));
  };
  for (const Variable& variable : options.earlier_variables) add("--from-job", variable);
  for (const auto& [name, value] : options.variables)
    add("--var", {.name = name, .value = Secret(value), .raw = true, .origin = "--var"});
  for (const SecretSource& source : options.secrets) {
    const GivenSecret* secret = find_secret(inputs, source.name);
    if (secret == nullptr) continue;
    const bool withheld = source.name == job.repository.token_name &&
                          options.publish == PublishMode::none &&
                          options.git_token == GitToken::withheld;
    if (withheld) {
      if (lists(job.flow, source.name))
        result.warnings.push_back("dry run: " + source.name +
                                  " fetches the repository and is not given to the script; "
                                  "--with-git-token gives it");
      continue;
    }
    add("--secret", {.name = secret->name,
                     .value = secret->value,
                     .masked = true,
                     .raw = true,
                     .origin = secret->origin});
  }
}

}  // namespace

std::string make_job_id(std::chrono::system_clock::time_point now, std::uint64_t chance) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d%02d%02d-%02d%02d%02d-%06x", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<unsigned>(chance >> 40));
  return text;
}

bool names_registries(const ExecOptions& options, const Flow& flow) {
  const auto named = [](const std::vector<std::string>& entries) {
    return std::find(entries.begin(), entries.end(), "registries") != entries.end();
  };
  const auto& asked = flow.extensions.network_allow;
  return named(options.network_allow) || (asked && named(*asked));
}

Result<ExecJob> make_exec_job(const ExecOptions& options, const ExecInputs& inputs) {
  ExecJob result;
  result.warnings = inputs.warnings;
  Job& job = result.job;
  job.id = make_job_id(inputs.now, inputs.chance);
  job.source = "exec";
  job.queued_at = inputs.now;
  job.flow = inputs.flow;
  if (!options.image.empty()) job.flow.image.name = options.image;
  job.pull_policy = options.pull;
  job.ca_file = options.ca_file;

  const GivenSecret* token = choose_token(options, inputs);
  if (token != nullptr) {
    job.repository.token = token->value;
    job.repository.token_name = token->name;
  }
  const TokenGiven token_given = token == nullptr ? TokenGiven::no : TokenGiven::yes;
  job.repository.ref = options.ref;
  job.repository.captured_start = options.captured_start;
  job.publish.mode = options.publish;
  job.publish.workload_ref =
      options.workload_ref.empty() ? default_workload_ref(inputs.chance) : options.workload_ref;
  if (inputs.local) {
    FR_CHECK(set_local_repository(options, *inputs.local, token_given, job));
  } else {
    FR_CHECK(set_remote_repository(options, token_given, job));
  }
  // With the default branch not known here, main and master are refused; the executor, which asks
  // the remote, decides again.
  if (options.publish != PublishMode::none) {
    const auto target = allowed_target(job.publish, job.repository.default_branch);
    if (!target) return target.error();
  }
  if (options.publish == PublishMode::remote && token == nullptr &&
      !host_of(job.publish.url).empty())
    result.warnings.push_back(
        "no git token is given, so the push will be anonymous: export GITLAB_TOKEN and say "
        "--secret "
        "GITLAB_TOKEN, or name another secret with --git-token-from");

  set_limits(options, inputs.flow, result);
  add_predefined(options, inputs, job);
  add_given(options, inputs, result);
  FR_CHECK(set_network(options, inputs, result));
  return result;
}

}  // namespace flow_runner::cli
