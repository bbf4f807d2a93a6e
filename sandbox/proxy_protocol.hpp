// What flow-runner and its proxy tell each other: settings in, events out. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/network_policy.hpp"
#include "config/result.hpp"
#include "sandbox/network_proxy.hpp"

namespace flow_runner {

/// What the proxy reads from its standard input, one JSON object.
struct ProxySettings {
  NetworkPolicy policy;
  ProxyLimits limits;
  std::vector<std::string> upstream_environment;  ///< may hold credentials
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

inline constexpr std::size_t max_settings_bytes = 8U << 20;

/// The descriptor at which the proxy finds its listener.
inline constexpr int proxy_listener_number = 3;

/// Error: invalid_input when a text is not UTF-8.
Result<std::string> to_json(const ProxySettings& settings);
Result<ProxySettings> parse_proxy_settings(std::string_view json);

/// One line of the proxy's standard output, without its end; at most max_event_bytes.
inline constexpr std::size_t max_event_bytes = 8U << 10;
std::string to_line(const NetworkEvent& event);

/// The inverse, for whoever does not trust the writer: texts are cut to what their field may hold
/// and bytes that are not printable ASCII become '?'; numbers are clamped. invalid_input: no event.
Result<NetworkEvent> parse_event(std::string_view line);

}  // namespace flow_runner
