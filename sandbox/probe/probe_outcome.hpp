// What one probe found, and the ways in which most of them find it.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace flow_runner::probe {

struct Outcome {
  const char* outcome;
  std::string detail;
};

inline Outcome closed(const std::string& what) { return {"closed", what}; }
inline Outcome open_hole(const std::string& what) { return {"open", what}; }
inline Outcome not_run(const std::string& what) { return {"not_run", what}; }

/// A call that should fail: a value of 0 or more means that the way is open.
inline Outcome judge(long value, const char* call) {
  if (value >= 0) return open_hole(std::string(call) + " succeeded");
  return closed(std::string(call) + ": " + std::strerror(errno));
}

/// Does the attempt in a child, so that what succeeds cannot spoil the probes after it. A negative
/// value means refused, by errno.
template <class Attempt>
Outcome in_child(const char* call, Attempt attempt) {
  const pid_t child = ::fork();
  if (child < 0) return not_run(std::string("fork: ") + std::strerror(errno));
  if (child == 0) {
    const long value = attempt();
    ::_exit(value >= 0 ? 0 : errno);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return not_run("waitpid failed");
  if (WIFSIGNALED(status))
    return closed(std::string(call) + ": killed by signal " + std::to_string(WTERMSIG(status)));
  errno = WEXITSTATUS(status);
  return judge(errno == 0 ? 0 : -1, call);
}

/// A fact that the runner should have passed; null when it has not.
inline const char* fact(const char* name) { return std::getenv(name); }
inline long long number(const char* name) {
  const char* text = fact(name);
  return text == nullptr ? -1 : std::atoll(text);
}
inline Outcome missing(const char* name) { return not_run(std::string(name) + " is not set"); }

// probe_network.cpp
Outcome tcp(int family, const char* address);
Outcome udp_outside();
Outcome dns();
Outcome raw_socket();
Outcome packet_socket();
Outcome ask_proxy(const char* host);
Outcome abstract_socket();
Outcome host_socket();
Outcome host_interfaces();
Outcome sysfs_interfaces();

// probe_kernel.cpp
Outcome mount_tmpfs();
Outcome mount_bind();
Outcome remount_proc_sys();
Outcome unmount_mask();
Outcome cgroup_escape();
Outcome join_namespace();
Outcome nested_user_namespace();
Outcome trace_child();
Outcome key_ring();
Outcome make_userfaultfd();
Outcome make_io_uring();
Outcome make_bpf_map();
Outcome make_perf_event();
Outcome open_by_handle();

// probe_files.cpp
Outcome leaked_descriptors();
Outcome opens(const char* path, int flags);
Outcome masked_files();
Outcome device_node();
Outcome host_devices();

// probe_processes.cpp
Outcome leaked_environment();
Outcome new_privileges();
Outcome setuid_program();
Outcome file_capabilities();
Outcome host_process();
Outcome kill_host_process();
Outcome runner_root();
Outcome host_ipc();
/// What the copies of this program do that those probes start; negative: not such a start.
int started_by_probe(int argc, char** argv);

// probe_limits.cpp
Outcome pids_limit();
Outcome memory_limit();
Outcome file_size();
Outcome tmp_size();
Outcome disk_limit();

}  // namespace flow_runner::probe
