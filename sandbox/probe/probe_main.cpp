// flow-runner-probe [ID…]: run inside a sandbox, tries each escape (or those named) and prints a
// JSON line for each.
#include <cstdio>
#include <fcntl.h>
#include <string_view>
#include <sys/socket.h>

#include "sandbox/probe/probe_facts.hpp"
#include "sandbox/probe/probe_outcome.hpp"
#include "sandbox/probe/probe_table.hpp"

namespace {

using namespace flow_runner;
using namespace flow_runner::probe;

struct Attempt {
  std::string_view id;
  Outcome (*run)();
};

constexpr Attempt attempts[] = {
    {"leaked_descriptors", leaked_descriptors},
    {"leaked_environment", leaked_environment},
    {"tcp_outside", [] { return tcp(AF_INET, probe_facts::outside); }},
    {"tcp_host_loopback", [] { return tcp(AF_INET, "127.0.0.1"); }},
    {"tcp_metadata", [] { return tcp(AF_INET, probe_facts::metadata); }},
    {"tcp_ipv6", [] { return tcp(AF_INET6, probe_facts::outside_v6); }},
    {"udp_outside", udp_outside},
    {"dns", dns},
    {"raw_socket", raw_socket},
    {"packet_socket", packet_socket},
    {"proxy_forbidden_host", [] { return ask_proxy(probe_facts::outside); }},
    {"proxy_metadata", [] { return ask_proxy(probe_facts::metadata); }},
    {"abstract_socket", abstract_socket},
    {"host_socket", host_socket},
    {"host_interfaces", host_interfaces},
    {"sysfs_interfaces", sysfs_interfaces},
    {"mount_tmpfs", mount_tmpfs},
    {"mount_bind", mount_bind},
    {"remount_proc_sys", remount_proc_sys},
    {"unmount_mask", unmount_mask},
    {"cgroup_escape", cgroup_escape},
    {"setns", join_namespace},
    {"nested_user_namespace", nested_user_namespace},
    {"ptrace", trace_child},
    {"keyctl", key_ring},
    {"userfaultfd", make_userfaultfd},
    {"io_uring", make_io_uring},
    {"bpf", make_bpf_map},
    {"perf_event", make_perf_event},
    {"file_handle", open_by_handle},
    {"core_pattern", [] { return opens("/proc/sys/kernel/core_pattern", O_WRONLY); }},
    {"sysrq", [] { return opens("/proc/sysrq-trigger", O_WRONLY); }},
    {"proc_writes",
     [] { return opens("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY); }},
    {"sys_writes", [] { return opens("/sys/class/net/lo/tx_queue_len", O_WRONLY); }},
    {"masked_files", masked_files},
    {"new_privileges", new_privileges},
    {"setuid_program", setuid_program},
    {"file_capabilities", file_capabilities},
    {"device_node", device_node},
    {"host_devices", host_devices},
    {"host_process", host_process},
    {"kill_host_process", kill_host_process},
    {"runner_root", runner_root},
    {"host_ipc", host_ipc},
    {"pids_limit", pids_limit},
    {"memory_limit", memory_limit},
    {"file_size", file_size},
    {"tmp_size", tmp_size},
    {"disk_limit", disk_limit},
};

constexpr bool in_the_order_of_the_table() {
  if (std::size(attempts) != probe_table.size()) return false;
  for (std::size_t i = 0; i < probe_table.size(); ++i)
    if (attempts[i].id != probe_table[i].id) return false;
  return true;
}
static_assert(in_the_order_of_the_table(), "each probe of the table has its attempt");

/// strerror and names from the kernel are all that details hold besides our own words.
std::string quoted(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '"' || c == '\\' || c < ' ' ? '?' : c;
  return '"' + safe + '"';
}

bool is_wanted(std::string_view id, int argc, char** argv) {
  // The one that ends the job has to be asked for.
  if (argc < 2) return id != fatal_probe;
  for (int i = 1; i < argc; ++i)
    if (id == argv[i]) return true;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (const int code = started_by_probe(argc, argv); code >= 0) return code;
  for (const auto& attempt : attempts) {
    if (!is_wanted(attempt.id, argc, argv)) continue;
    const Outcome outcome = attempt.run();
    std::printf("{\"id\":\"%s\",\"outcome\":\"%s\",\"detail\":%s}\n",
                std::string(attempt.id).c_str(), outcome.outcome, quoted(outcome.detail).c_str());
    std::fflush(stdout);
  }
}
