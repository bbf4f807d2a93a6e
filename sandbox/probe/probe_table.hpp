// The probes of flow-runner-probe: what each one tries, and which layers close it.
#pragma once

#include <array>
#include <string_view>

#include "sandbox/sandbox_layer.hpp"

namespace flow_runner {

struct ProbeEntry {
  std::string_view id;
  std::string_view tries;
  /// With exactly these taken away it must come out open. Several: each of them closes it alone.
  /// None: it is closed by the way a container is started.
  LayerSet closed_by;
};

// clang-format off
inline constexpr auto probe_table = [] {
  using enum SandboxLayer;
  return std::to_array<ProbeEntry>({
    // First: the probes after it may leave descriptors of their own.
    {"leaked_descriptors",    "find a descriptor above 2", {}},
    {"leaked_environment",    "find a variable of the runner's own environment", {}},
    {"tcp_outside",           "connect by TCP past the proxy (curl --noproxy)", {network}},
    {"tcp_host_loopback",     "connect to a service on the host's 127.0.0.1", {network}},
    {"tcp_metadata",          "connect to the metadata address 169.254.169.254", {network}},
    {"tcp_ipv6",              "connect by TCP over IPv6", {network}},
    {"udp_outside",           "get an answer by UDP", {network}},
    {"dns",                   "get an answer from a name server", {network}},
    {"raw_socket",            "open a raw IP socket", {capabilities}},
    {"packet_socket",         "open a packet socket", {capabilities, seccomp}},
    {"proxy_forbidden_host",  "ask a proxy for a host that nobody allowed", {network_policy}},
    {"proxy_metadata",        "ask a proxy for the metadata address", {network_policy}},
    {"abstract_socket",       "connect to the host's abstract unix socket", {network}},
    {"host_socket",           "connect to a unix socket in the host's file system", {mount_namespace}},
    {"host_interfaces",       "see network interfaces other than lo", {network}},
    {"sysfs_interfaces",      "see them in /sys/class/net", {network}},
    {"mount_tmpfs",           "mount a tmpfs", {capabilities, seccomp}},
    {"mount_bind",            "bind / elsewhere", {capabilities, seccomp}},
    {"remount_proc_sys",      "make /proc/sys writable by a remount", {capabilities, seccomp}},
    {"unmount_mask",          "take the mask off /proc/keys", {capabilities, seccomp}},
    {"cgroup_escape",         "get hold of a cgroup.procs to write to", {capabilities, seccomp}},
    {"setns",                 "join a namespace", {capabilities, seccomp}},
    {"nested_user_namespace", "make a user namespace", {seccomp}},
    {"ptrace",                "trace a child", {seccomp}},
    {"keyctl",                "use the kernel's key ring", {seccomp}},
    {"userfaultfd",           "make a userfaultfd", {seccomp}},
    {"io_uring",              "make an io_uring", {seccomp}},
    {"bpf",                   "make a bpf map", {seccomp, capabilities, user_namespace}},
    {"perf_event",            "open a perf event", {seccomp}},
    {"file_handle",           "open a file by its handle, past every mount", {seccomp, capabilities, user_namespace}},
    {"core_pattern",          "open /proc/sys/kernel/core_pattern for writing", {read_only_paths, user_namespace}},
    {"sysrq",                 "open /proc/sysrq-trigger for writing", {read_only_paths, user_namespace}},
    {"proc_writes",           "open /proc/sys/net/ipv4/ip_unprivileged_port_start for writing", {read_only_paths, capabilities}},
    {"sys_writes",            "open a file of /sys/class/net/lo for writing", {read_only_paths}},
    {"masked_files",          "read what the kernel tells of the whole host", {masked_paths}},
    {"new_privileges",        "run without no_new_privs", {no_new_privs}},
    {"setuid_program",        "become root by a setuid program", {no_new_privs}},
    {"file_capabilities",     "gain a capability by a program's file", {no_new_privs}},
    {"device_node",           "make the device node of /dev/null and open it", {user_namespace, capabilities}},
    {"host_devices",          "open a device that is none of the harmless ones", {devices}},
    {"host_process",          "be in the runner's PID namespace", {pid_namespace}},
    {"kill_host_process",     "send a signal to a process of the host", {pid_namespace, user_namespace}},
    {"runner_root",           "open /proc/PID/root of the runner", {pid_namespace, user_namespace, capabilities}},
    {"host_ipc",              "open a System V message queue of the host", {ipc_namespace}},
    {"pids_limit",            "start more processes than the limit", {cgroup_pids}},
    {"memory_limit",          "use more memory than the limit", {cgroup_memory}},
    {"file_size",             "make a file larger than the limit", {disk}},
    {"tmp_size",              "write more into /tmp than the limit", {disk}},
    // A run of its own: it ends with the job.
    {"disk_limit",            "write more to disk than the limit, file by file", {disk}},
  });
}();
// clang-format on

/// The probe that is expected to be ended from outside.
inline constexpr std::string_view fatal_probe = "disk_limit";

}  // namespace flow_runner
