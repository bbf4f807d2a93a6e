// Network presets: names that stand for entries of `network.allow`.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/flow.hpp"
#include "config/job.hpp"
#include "config/network_policy.hpp"
#include "config/result.hpp"

namespace flow_runner {

/// `agents`: the model services of the agents that GitLab's flows use, and their sign-in; telemetry
/// and updates are left out. `gitlab`: the job's own instance. `registries`: the package registries
/// that this host's own npm, pip and apt are configured for.
inline constexpr std::array<std::string_view, 3> network_preset_names = {"agents", "gitlab",
                                                                         "registries"};

/// NetworkRule::origin of what a flow itself asked for.
inline constexpr std::string_view flow_network_origin = "x-flow-runner.network";

bool is_network_preset(std::string_view name) noexcept;

/// `none`, `proxy`, `host`.
std::optional<NetworkMode> network_mode_from(std::string_view word) noexcept;
std::string_view to_string(NetworkMode mode) noexcept;

std::vector<NetworkRule> agents_preset();

/// Host and port of the repository's and the target's address, of CI_SERVER_URL and of
/// CI_API_V4_URL, each once, at any address: an instance often has a private one. Of variables the
/// last of a name counts.
std::vector<NetworkRule> gitlab_preset(const Job& job);

/// Those rules of `policy.allow` that the preset `registries` gave.
std::vector<NetworkRule> registries_given(const NetworkPolicy& policy);

/// What one entry stands for: itself, or the entries of a preset, of which `registries` are handed
/// in. invalid_input as from parse_network_rule, with a word about presets.
Result<std::vector<NetworkRule>> expand_network_entry(std::string_view entry,
                                                      std::string_view origin, const Job& job,
                                                      const std::vector<NetworkRule>& registries);

/// The rule that an http or https address stands for: its host and port, at any address. User name,
/// path and query are dropped. Absent: another scheme, or no host that canonical_host() takes.
std::optional<NetworkRule> rule_from_url(std::string_view url, std::string_view origin);

}  // namespace flow_runner
