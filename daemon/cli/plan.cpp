#include "daemon/cli/plan.hpp"

#include <algorithm>

#include "config/network_presets.hpp"
#include "config/quoted_path.hpp"
#include "config/ref_name.hpp"
#include "config/units.hpp"
#include "daemon/cli/terminal_text.hpp"

namespace flow_runner::cli {

namespace {

constexpr std::size_t max_value = 100;

std::string one_line(std::string_view text) {
  std::string safe = terminal_text(text, TerminalColours::removed);
  std::replace(safe.begin(), safe.end(), '\r', ' ');
  std::replace(safe.begin(), safe.end(), '\t', ' ');
  std::string line;
  for (const char c : safe) line += c == '\n' ? std::string("⏎") : std::string(1, c);
  if (line.size() <= max_value) return line;
  return std::string(utf8_prefix(line, max_value)) + "… (" + std::to_string(text.size()) +
         " bytes)";
}

std::string pull_policy_text(const Job& job) {
  const auto policy = job.pull_policy ? job.pull_policy : job.flow.image.pull_policy;
  if (!policy) return "";
  switch (*policy) {
    case PullPolicy::always:
      return ", pulled always";
    case PullPolicy::if_not_present:
      return ", pulled if not present";
    case PullPolicy::never:
      return ", never pulled";
  }
  return "";
}

std::string repository_text(const Job& job) {
  const RepositorySpec& repository = job.repository;
  std::string text = one_line(repository.url);
  if (repository.include_work_tree) return text + ", HEAD and uncommitted files";
  text += ", " + (repository.ref.empty() ? std::string("HEAD") : one_line(repository.ref));
  if (!repository.token_name.empty()) text += ", with the token " + repository.token_name;
  return text;
}

std::string target_text(const PublishSpec& publish) {
  const auto ref = full_ref(publish.workload_ref);
  const std::string name = one_line(ref ? *ref : publish.workload_ref);
  switch (publish.mode) {
    case PublishMode::none:
      return "none (dry run): the diff goes to stdout, the changes are kept";
    case PublishMode::remote:
      return name + " at " + one_line(publish.url);
    case PublishMode::local:
      return name + " in the local repository " + one_line(publish.url);
  }
  return "";
}

std::string limits_text(const JobLimits& limits) {
  std::string cpus = std::to_string(limits.cpus);
  cpus.erase(cpus.find_last_not_of('0') + 1);
  if (cpus.ends_with('.')) cpus.pop_back();
  return "memory " + format_bytes(limits.memory_bytes) + ", cpus " +
         (limits.cpus == 0 ? "all" : cpus) + ", pids " + std::to_string(limits.pids) + ", disk " +
         format_bytes(limits.disk_bytes) + ", timeout " + format_duration(limits.timeout);
}

void add_rules(const char* word, const std::vector<NetworkRule>& rules, std::string& text) {
  for (const NetworkRule& rule : rules)
    text += std::string("  ") + word + " " + one_line(to_string(rule)) + "   (" +
            one_line(rule.origin) + ")\n";
}

std::string network_text(const Job& job) {
  if (job.network == NetworkMode::host)
    return "host: the job reaches all that this host reaches, its loopback services included\n";
  if (job.network == NetworkMode::none) return "none\n";
  const NetworkPolicy& policy = job.network_policy;
  std::string text = "proxy: ";
  text += policy.allow.empty() ? "nothing is allowed; --network-allow HOST:PORT adds a host\n"
                               : "only what is listed here\n";
  add_rules("allow", policy.allow, text);
  add_rules("deny ", policy.deny, text);
  if (!policy.narrowed_to) return text;
  text += policy.narrowed_to->empty() ? "  and the flow allows nothing of it\n"
                                      : "  and of that only what the flow lists\n";
  add_rules("flow ", *policy.narrowed_to, text);
  return text;
}

std::string variable_text(const ResolvedVariable& variable) {
  std::string value = "[MASKED]";
  if (variable.file)
    value = "(path of a file)";
  else if (!variable.secret)
    value = one_line(variable.value.reveal());
  return "  " + variable.name + "=" + value +
         (variable.origin.empty() ? "" : "   (" + one_line(variable.origin) + ")") + "\n";
}

}  // namespace

std::string plan_text(const Job& job, const ResolvedVariables& variables,
                      const std::vector<std::string>& warnings) {
  std::string text;
  text += "flow        " + one_line(job.flow.path) + "\n";
  text += "image       " + one_line(job.flow.image.name) + pull_policy_text(job) + "\n";
  text += "repository  " + repository_text(job) + "\n";
  text += "target      " + target_text(job.publish) + "\n";
  text += "limits      " + limits_text(job.limits) + "\n";
  text += "network     " + network_text(job);
  text += "commands\n";
  for (const std::string& command : job.flow.extensions.setup)
    text += "  $ " + one_line(command) + "   (setup)\n";
  for (const std::string& command : job.flow.commands) text += "  $ " + one_line(command) + "\n";
  text += "variables\n";
  for (const ResolvedVariable& variable : variables.environment) text += variable_text(variable);
  for (const std::string& warning : warnings) text += "warning: " + one_line(warning) + "\n";
  for (const std::string& warning : variables.warnings)
    text += "warning: " + one_line(warning) + "\n";
  text += "nothing was started\n";
  return text;
}

}  // namespace flow_runner::cli
