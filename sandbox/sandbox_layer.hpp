// SandboxLayer: one of the walls of a sandbox, by name; and sets of them.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace flow_runner {

enum class SandboxLayer : std::uint8_t {
  user_namespace,
  pid_namespace,
  mount_namespace,
  ipc_namespace,
  uts_namespace,
  cgroup_namespace,
  network,         ///< a network namespace with nothing but lo
  network_policy,  ///< what the proxy refuses
  seccomp,
  no_new_privs,
  capabilities,
  masked_paths,
  read_only_paths,  ///< of /proc, and all of /sys
  devices,          ///< a /dev of its own
  cgroup_memory,
  cgroup_pids,
  cgroup_cpu,
  disk,  ///< limits of files, of /tmp and of all that is written
};

inline constexpr auto sandbox_layer_names = std::to_array<std::string_view>({
    "user_namespace", "pid_namespace",   "mount_namespace", "ipc_namespace", "uts_namespace",
    "cgroup_namespace", "network",       "network_policy",  "seccomp",       "no_new_privs",
    "capabilities",   "masked_paths",    "read_only_paths", "devices",       "cgroup_memory",
    "cgroup_pids",    "cgroup_cpu",      "disk",
});

constexpr std::string_view to_string(SandboxLayer layer) {
  return sandbox_layer_names[static_cast<std::size_t>(layer)];
}

/// A set of layers; a type of its own, for what it is used for must be easy to find.
class LayerSet {
 public:
  constexpr LayerSet() = default;
  constexpr LayerSet(std::initializer_list<SandboxLayer> layers) {
    for (const auto layer : layers) bits_ |= bit(layer);
  }
  [[nodiscard]] constexpr bool has(SandboxLayer layer) const { return (bits_ & bit(layer)) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  constexpr auto operator<=>(const LayerSet&) const = default;

 private:
  static constexpr std::uint32_t bit(SandboxLayer layer) {
    return 1U << static_cast<unsigned>(layer);
  }
  std::uint32_t bits_ = 0;
};

}  // namespace flow_runner
