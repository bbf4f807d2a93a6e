#include "config/job.hpp"

#include <algorithm>

#include "config/network_presets.hpp"

namespace flow_runner {
namespace {

/// Of a limit where 0 means none.
template <class T>
void narrow_limit(T& limit, const std::optional<T>& asked) {
  if (asked && *asked > 0 && (limit == 0 || *asked < limit)) limit = *asked;
}

/// The rules that a flow's entries stand for. They were checked when the flow was read: what cannot
/// be read now allows nothing.
std::vector<NetworkRule> rules_of(const std::vector<std::string>& entries, const Job& job) {
  std::vector<NetworkRule> rules;
  for (const std::string& entry : entries) {
    const auto expanded =
        expand_network_entry(entry, flow_network_origin, job, registries_given(job.network_policy));
    if (expanded) rules.insert(rules.end(), expanded->begin(), expanded->end());
  }
  return rules;
}

}  // namespace

void narrow_network(Job& job, const FlowExtensions& asked) {
  if (!asked.network) return;
  const bool given_host = job.network == NetworkMode::host;
  job.network = std::min(job.network, *asked.network);
  if (job.network != NetworkMode::proxy) return;
  NetworkPolicy& policy = job.network_policy;
  if (asked.network_allow) policy.narrowed_to = rules_of(*asked.network_allow, job);
  if (given_host) policy.allow = policy.narrowed_to.value_or(std::vector<NetworkRule>());
  for (const NetworkRule& rule : rules_of(asked.network_deny, job))
    if (std::find(policy.deny.begin(), policy.deny.end(), rule) == policy.deny.end())
      policy.deny.push_back(rule);
}

void narrow(Job& job, const FlowExtensions& asked) {
  narrow_limit(job.limits.memory_bytes, asked.resources.memory_bytes);
  narrow_limit(job.limits.pids, asked.resources.pids);
  narrow_limit(job.limits.disk_bytes, asked.resources.disk_bytes);
  narrow_limit(job.limits.cpus, asked.resources.cpus);
  if (asked.timeout) job.limits.timeout = std::min(job.limits.timeout, *asked.timeout);
  narrow_network(job, asked);
}

}  // namespace flow_runner
