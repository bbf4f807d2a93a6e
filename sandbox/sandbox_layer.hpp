// SandboxLayer: one of the walls of a sandbox, by name.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace flow_runner {

enum class SandboxLayer : std::uint8_t {
  user_namespace,
  pid_namespace,
  mount_namespace,
  ipc_namespace,
  uts_namespace,
  cgroup_namespace,
  network,
  seccomp,
  no_new_privs,
  capabilities,
  masked_paths,
  read_only_paths,
  devices,
  cgroup_memory,
  cgroup_pids,
  cgroup_cpu,
  disk,
};

inline constexpr std::array<std::string_view, 17> sandbox_layer_names = {
    "user_namespace", "pid_namespace", "mount_namespace",
    "ipc_namespace",  "uts_namespace", "cgroup_namespace",
    "network",        "seccomp",       "no_new_privs",
    "capabilities",   "masked_paths",  "read_only_paths",
    "devices",        "cgroup_memory", "cgroup_pids",
    "cgroup_cpu",     "disk"};

constexpr std::string_view to_string(SandboxLayer layer) {
  return sandbox_layer_names[static_cast<std::size_t>(layer)];
}

}  // namespace flow_runner
