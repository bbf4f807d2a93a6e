// flow-runner-probe: run inside a sandbox, tries each escape and prints a JSON line for each.
#include <arpa/inet.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/probe/probe_table.hpp"

namespace {

struct Outcome {
  const char* outcome;
  std::string detail;
};

Outcome closed(const std::string& what) { return {"closed", what}; }
Outcome open_hole(const std::string& what) { return {"open", what}; }
Outcome not_run(const std::string& what) { return {"not_run", what}; }

/// A call that should fail: a value of 0 or more means that the way is open.
Outcome judge(long value, const char* call) {
  if (value >= 0) return open_hole(std::string(call) + " succeeded");
  return closed(std::string(call) + ": " + std::strerror(errno));
}

/// Does the attempt in a child, so that what succeeds cannot spoil the probes after it.
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
  if (!WIFEXITED(status)) return closed(std::string(call) + ": killed");
  errno = WEXITSTATUS(status);
  return judge(errno == 0 ? 0 : -1, call);
}

Outcome connect_within(int fd, const sockaddr* address, socklen_t size) {
  if (::connect(fd, address, size) == 0) return open_hole("connected");
  if (errno != EINPROGRESS) return closed(std::string("connect: ") + std::strerror(errno));
  pollfd wait{fd, POLLOUT, 0};
  if (::poll(&wait, 1, 1000) <= 0) return closed("connect: no answer in one second");
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? open_hole("connected") : closed(std::strerror(error));
}

Outcome tcp(const char* address) {
  const char* port = std::getenv("PROBE_TCP_PORT");
  if (port == nullptr) return not_run("PROBE_TCP_PORT is not set");
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  if (address == nullptr || ::inet_pton(AF_INET, address, &target.sin_addr) != 1)
    return not_run("no address was given");
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return judge(fd, "socket");
  const auto outcome =
      connect_within(fd, reinterpret_cast<const sockaddr*>(&target), sizeof target);
  ::close(fd);
  return outcome;
}

Outcome abstract_socket() {
  const char* name = std::getenv("PROBE_ABSTRACT");
  if (name == nullptr) return not_run("PROBE_ABSTRACT is not set");
  sockaddr_un target{};
  target.sun_family = AF_UNIX;
  std::strncpy(target.sun_path + 1, name, sizeof target.sun_path - 2);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return judge(fd, "socket");
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + std::strlen(name));
  const auto outcome = connect_within(fd, reinterpret_cast<const sockaddr*>(&target), size);
  ::close(fd);
  return outcome;
}

Outcome interfaces() {
  struct if_nameindex* const list = ::if_nameindex();
  if (list == nullptr) return not_run(std::string("if_nameindex: ") + std::strerror(errno));
  std::string others;
  for (const auto* entry = list; entry->if_index != 0; ++entry)
    if (std::strcmp(entry->if_name, "lo") != 0) others += std::string(" ") + entry->if_name;
  ::if_freenameindex(list);
  return others.empty() ? closed("only lo") : open_hole("sees" + others);
}

Outcome opens(const char* path, int flags) {
  const int fd = ::open(path, flags | O_CLOEXEC);
  const auto outcome = judge(fd, "open");
  if (fd >= 0) ::close(fd);
  return outcome;
}

/// A masked file is an empty /dev/null: opening it is no hole, reading a byte is.
Outcome reads(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return judge(fd, "open");
  char byte = 0;
  const auto got = ::read(fd, &byte, 1);
  ::close(fd);
  return got == 1 ? open_hole("has content") : closed("is empty");
}

Outcome device_node() {
  const char* path = "/tmp/probe-device";
  ::unlink(path);
  if (::mknod(path, S_IFCHR | 0600, makedev(1, 3)) != 0) return judge(-1, "mknod");
  const auto outcome = opens(path, O_RDONLY);
  ::unlink(path);
  return outcome;
}

Outcome descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return not_run("cannot list /proc/self/fd");
  std::string found;
  while (const dirent* entry = ::readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (fd > 2 && fd != ::dirfd(folder)) found += std::string(" ") + entry->d_name;
  }
  ::closedir(folder);
  return found.empty() ? closed("0, 1 and 2 only") : open_hole("open:" + found);
}

Outcome environment() {
  const char* canary = std::getenv("PROBE_CANARY_NAME");
  if (canary == nullptr) return not_run("PROBE_CANARY_NAME is not set");
  return std::getenv(canary) == nullptr ? closed("not set") : open_hole("set");
}

Outcome host_process() {
  const char* wanted = std::getenv("PROBE_HOST_PID_NS");
  if (wanted == nullptr) return not_run("PROBE_HOST_PID_NS is not set");
  char own[64] = {};
  if (::readlink("/proc/self/ns/pid", own, sizeof own - 1) < 0) return not_run("no /proc");
  return std::strcmp(own, wanted) == 0 ? open_hole("the host's PID namespace") : closed(own);
}

Outcome run_probe(std::string_view id) {
  if (id == "tcp_outside") return tcp(std::getenv("PROBE_OUTSIDE"));
  if (id == "tcp_host_loopback") return tcp("127.0.0.1");
  if (id == "abstract_socket") return abstract_socket();
  if (id == "packet_socket") return judge(::socket(AF_PACKET, SOCK_RAW, 0), "socket");
  if (id == "host_interfaces") return interfaces();
  if (id == "mount_tmpfs")
    return in_child("mount", [] {
      const int mounted = ::mount("probe", "/tmp", "tmpfs", 0, nullptr);
      // Outside of a sandbox the mount namespace is not ours to change.
      if (mounted == 0) ::umount2("/tmp", MNT_DETACH);
      return mounted;
    });
  if (id == "ptrace")
    return in_child("ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); });
  if (id == "kernel_settings") return opens("/proc/sys/kernel/core_pattern", O_WRONLY);
  if (id == "sysrq") return opens("/proc/sysrq-trigger", O_WRONLY);
  if (id == "masked_keys") return reads("/proc/keys");
  if (id == "keyctl") return judge(::syscall(SYS_keyctl, 0, -3, 0), "keyctl");
  if (id == "userfaultfd") return judge(::syscall(SYS_userfaultfd, O_CLOEXEC | 1), "userfaultfd");
  if (id == "io_uring") {
    alignas(8) char parameters[256] = {};
    return judge(::syscall(SYS_io_uring_setup, 1, parameters), "io_uring_setup");
  }
  if (id == "bpf") {
    bpf_attr attributes{};
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = attributes.value_size = 4;
    attributes.max_entries = 1;
    return judge(::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), "bpf");
  }
  if (id == "perf_event") {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    attributes.exclude_kernel = 1;
    return judge(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0), "perf_event_open");
  }
  if (id == "nested_user_namespace")
    return in_child("unshare", [] { return ::unshare(CLONE_NEWUSER); });
  if (id == "new_privileges")
    return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? closed("no_new_privs is set")
                                                         : open_hole("no_new_privs is not set");
  if (id == "device_node") return device_node();
  if (id == "leaked_descriptors") return descriptors();
  if (id == "leaked_environment") return environment();
  if (id == "host_process") return host_process();
  return not_run("this prober does not know it");
}

/// strerror and interface names are all that details hold besides our own words.
std::string quoted(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '"' || c == '\\' || c < ' ' ? '?' : c;
  return '"' + safe + '"';
}

}  // namespace

int main() {
  for (const auto& probe : flow_runner::probe_table) {
    const Outcome outcome = run_probe(probe.id);
    std::printf("{\"id\":\"%s\",\"outcome\":\"%s\",\"detail\":%s}\n", std::string(probe.id).c_str(),
                outcome.outcome, quoted(outcome.detail).c_str());
    std::fflush(stdout);
  }
}
