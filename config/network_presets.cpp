#include "config/network_presets.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

constexpr std::string_view registries_origin = "preset registries";

struct AgentHost {
  std::string_view entry;
  std::string_view agent;
};
constexpr std::array agent_hosts = {
    AgentHost{"api.anthropic.com:443", "Claude Code, opencode"},
    AgentHost{"api.openai.com:443", "Codex, opencode"},
    AgentHost{"auth.openai.com:443", "Codex signed in with an account: refreshes its token"},
    AgentHost{"chatgpt.com:443", "Codex signed in with an account: its model service"},
    AgentHost{"generativelanguage.googleapis.com:443", "Gemini CLI with an API key"},
    AgentHost{"cloudcode-pa.googleapis.com:443", "Gemini CLI signed in with an account"},
    AgentHost{"oauth2.googleapis.com:443", "Gemini CLI: refreshes its token"},
    AgentHost{"q.us-east-1.amazonaws.com:443", "Amazon Q"},
    AgentHost{"q.eu-central-1.amazonaws.com:443", "Amazon Q"},
    AgentHost{"codewhisperer.us-east-1.amazonaws.com:443", "Amazon Q, older releases"},
    AgentHost{"oidc.us-east-1.amazonaws.com:443", "Amazon Q: refreshes its token"},
};

void add_once(std::vector<NetworkRule>& rules, std::optional<NetworkRule> rule) {
  if (rule && std::find(rules.begin(), rules.end(), *rule) == rules.end())
    rules.push_back(std::move(*rule));
}

std::string_view variable_value(const Job& job, std::string_view name) {
  for (auto it = job.variables.rbegin(); it != job.variables.rend(); ++it)
    if (it->name == name) return it->value.reveal();
  return {};
}

}  // namespace

bool is_network_preset(std::string_view name) noexcept {
  return std::find(network_preset_names.begin(), network_preset_names.end(), name) !=
         network_preset_names.end();
}

std::optional<NetworkMode> network_mode_from(std::string_view word) noexcept {
  for (const NetworkMode mode : {NetworkMode::none, NetworkMode::proxy, NetworkMode::host})
    if (to_string(mode) == word) return mode;
  return std::nullopt;
}

std::string_view to_string(NetworkMode mode) noexcept {
  switch (mode) {
    case NetworkMode::none:
      return "none";
    case NetworkMode::proxy:
      return "proxy";
    case NetworkMode::host:
      return "host";
  }
  return "none";
}

std::vector<NetworkRule> agents_preset() {
  std::vector<NetworkRule> rules;
  for (const AgentHost& host : agent_hosts)
    if (auto rule = parse_network_rule(host.entry, "preset agents"))
      rules.push_back(std::move(*rule));
  return rules;
}

std::vector<NetworkRule> gitlab_preset(const Job& job) {
  std::vector<NetworkRule> rules;
  for (const std::string_view url :
       {std::string_view(job.repository.url), std::string_view(job.publish.url)})
    add_once(rules, rule_from_url(url, "preset gitlab"));
  const auto is_instance = [known = rules](const NetworkRule& rule) {
    return std::any_of(known.begin(), known.end(),
                       [&](const NetworkRule& other) { return other.host == rule.host; });
  };
  for (const char* name : {"CI_SERVER_URL", "CI_API_V4_URL"}) {
    auto rule = rule_from_url(variable_value(job, name), "preset gitlab");
    // Whoever sets a job's variables must not open the host's own network by them.
    if (rule) rule->any_address = is_instance(*rule);
    add_once(rules, std::move(rule));
  }
  return rules;
}

std::vector<NetworkRule> registries_given(const NetworkPolicy& policy) {
  std::vector<NetworkRule> rules;
  std::copy_if(policy.allow.begin(), policy.allow.end(), std::back_inserter(rules),
               [](const NetworkRule& rule) { return rule.origin == registries_origin; });
  return rules;
}

Result<std::vector<NetworkRule>> expand_network_entry(std::string_view entry,
                                                      std::string_view origin, const Job& job,
                                                      const std::vector<NetworkRule>& registries) {
  if (entry == "agents") return agents_preset();
  if (entry == "gitlab") return gitlab_preset(job);
  if (entry == "registries") return registries;
  auto rule = parse_network_rule(entry, origin);
  if (!rule)
    return Error{rule.error().code,
                 rule.error().message + "; presets are agents, gitlab and registries"};
  return std::vector{std::move(*rule)};
}

std::optional<NetworkRule> rule_from_url(std::string_view url, std::string_view origin) {
  const bool tls = url.starts_with("https://");
  if (!tls && !url.starts_with("http://")) return std::nullopt;
  url.remove_prefix(tls ? 8 : 7);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const auto at = url.rfind('@'); at != std::string_view::npos) url.remove_prefix(at + 1);
  const auto bracket = url.rfind(']');
  const auto colon = url.rfind(':');
  const bool with_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  std::string entry(url);
  if (!with_port) entry += tls ? ":443" : ":80";
  // An address has no wildcard, and a block is none either.
  if (entry.find_first_of("*/") != std::string::npos) return std::nullopt;
  auto rule = parse_network_rule(entry, origin);
  if (!rule) return std::nullopt;
  rule->any_address = true;
  return std::move(*rule);
}

}  // namespace flow_runner
