// ProxyWire: what an executor and its proxy process tell each other, as JSON. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sandbox/network_proxy.hpp"

namespace flow_runner {

inline constexpr int proxy_listener_fd = 3;
inline constexpr std::size_t max_event_line = 4096;

struct ProxyConfig {
  NetworkPolicy policy;
  ProxyLimits limits;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

std::string to_text(const ProxyConfig& config);
/// invalid_input for anything but what to_text writes.
Result<ProxyConfig> proxy_config_from_text(std::string_view text);

/// One line without its end, under max_event_line bytes.
std::string to_line(const NetworkEvent& event);
/// nullopt for anything but what to_line writes.
std::optional<NetworkEvent> event_from_line(std::string_view line);

}  // namespace flow_runner
