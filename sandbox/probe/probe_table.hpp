// The probes of flow-runner-probe: what each one tries, and which layers close it.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "sandbox/sandbox_layer.hpp"

namespace flow_runner {

using LayerSet = std::uint32_t;

constexpr LayerSet layer_set(std::initializer_list<SandboxLayer> layers) {
  LayerSet set = 0;
  for (const auto layer : layers) set |= 1U << static_cast<unsigned>(layer);
  return set;
}

struct ProbeEntry {
  std::string_view id;
  std::string_view tries;
  LayerSet closed_by;  ///< by design; only the sandbox as a whole is tested
};

// clang-format off
inline constexpr auto probe_table = std::to_array<ProbeEntry>({
    // First: the probes after it may leave descriptors of their own.
    {"leaked_descriptors", "find a descriptor above 2", LayerSet{0}},
    {"tcp_outside", "connect by TCP to an address that is not loopback", layer_set({SandboxLayer::network})},
    {"tcp_host_loopback", "connect to a service on the host's 127.0.0.1", layer_set({SandboxLayer::network})},
    {"abstract_socket", "connect to the host's abstract unix socket", layer_set({SandboxLayer::network})},
    {"packet_socket", "open a packet socket", layer_set({SandboxLayer::capabilities, SandboxLayer::seccomp})},
    {"host_interfaces", "see interfaces other than lo", layer_set({SandboxLayer::network})},
    {"mount_tmpfs", "mount a tmpfs", layer_set({SandboxLayer::capabilities, SandboxLayer::seccomp})},
    {"ptrace", "trace a child", layer_set({SandboxLayer::seccomp})},
    {"kernel_settings", "open /proc/sys/kernel/core_pattern for writing", layer_set({SandboxLayer::read_only_paths, SandboxLayer::user_namespace})},
    {"sysrq", "open /proc/sysrq-trigger for writing", layer_set({SandboxLayer::read_only_paths, SandboxLayer::user_namespace})},
    {"masked_keys", "read /proc/keys", layer_set({SandboxLayer::masked_paths})},
    {"keyctl", "use the kernel's key ring", layer_set({SandboxLayer::seccomp})},
    {"userfaultfd", "make a userfaultfd", layer_set({SandboxLayer::seccomp})},
    {"io_uring", "make an io_uring", layer_set({SandboxLayer::seccomp})},
    {"bpf", "make a bpf map", layer_set({SandboxLayer::seccomp, SandboxLayer::capabilities})},
    {"perf_event", "open a perf event", layer_set({SandboxLayer::seccomp})},
    {"nested_user_namespace", "make a user namespace", layer_set({SandboxLayer::seccomp})},
    {"new_privileges", "run without no_new_privs, so that setuid programs gain", layer_set({SandboxLayer::no_new_privs})},
    {"device_node", "make a device node (that of /dev/null) and open it", layer_set({SandboxLayer::user_namespace, SandboxLayer::capabilities})},
    {"leaked_environment", "find the runner's own environment", LayerSet{0}},
    {"host_process", "see a process of the host by its pid namespace", layer_set({SandboxLayer::pid_namespace})},
});
// clang-format on

}  // namespace flow_runner
