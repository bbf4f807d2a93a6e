// Probes of the kernel's doors: mounts, namespaces, and calls that are attack surface by themselves.
#include <cstddef>
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sandbox/probe/probe_outcome.hpp"

namespace flow_runner::probe {
namespace {

// Where nothing is missed: what a mount hides comes back with the unmount.
constexpr const char* mount_point = "/tmp";

/// What succeeds stays with the child that tried it, where that can be had.
void own_mounts() {
  if (::unshare(CLONE_NEWNS) == 0) ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
}

long mount_and_undo(const char* source, const char* type, unsigned long flags) {
  own_mounts();
  if (::mount(source, mount_point, type, flags, nullptr) != 0) return -1;
  ::umount2(mount_point, MNT_DETACH);
  return 0;
}

/// Opens the first cgroup.procs for writing that lets us, at most two folders down.
bool finds_writable_procs(const std::string& folder, int depth) {
  const int fd = ::open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
    return true;
  }
  DIR* entries = depth > 0 ? ::opendir(folder.c_str()) : nullptr;
  if (entries == nullptr) return false;
  bool found = false;
  while (const dirent* entry = found ? nullptr : ::readdir(entries))
    if (entry->d_name[0] != '.')
      found = finds_writable_procs(folder + "/" + entry->d_name, depth - 1);
  ::closedir(entries);
  return found;
}

}  // namespace

Outcome mount_tmpfs() {
  return in_child("mount", [] { return mount_and_undo("probe", "tmpfs", 0); });
}

Outcome mount_bind() {
  return in_child("mount", [] { return mount_and_undo("/", nullptr, MS_BIND); });
}

Outcome remount_proc_sys() {
  return in_child("mount", [] {
    own_mounts();
    if (::mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND, nullptr) != 0) return -1L;
    ::mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr);
    return 0L;
  });
}

Outcome unmount_mask() {
  return in_child("umount", [] {
    own_mounts();
    return ::umount2("/proc/keys", MNT_DETACH);
  });
}

Outcome cgroup_escape() {
  if (finds_writable_procs("/sys/fs/cgroup", 2)) return open_hole("a cgroup.procs can be written");
  return in_child("mount of cgroup2", [] { return mount_and_undo("probe", "cgroup2", 0); });
}

Outcome join_namespace() {
  return in_child("setns", [] {
    const int fd = ::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : ::setns(fd, CLONE_NEWIPC);
  });
}

Outcome nested_user_namespace() {
  return in_child("unshare", [] { return ::unshare(CLONE_NEWUSER); });
}

Outcome trace_child() {
  return in_child("ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); });
}

Outcome key_ring() { return judge(::syscall(SYS_keyctl, 0, -3, 0), "keyctl"); }

Outcome make_userfaultfd() {
  constexpr int user_mode_only = 1;
  return judge(::syscall(SYS_userfaultfd, O_CLOEXEC | user_mode_only), "userfaultfd");
}

Outcome make_io_uring() {
  alignas(8) char parameters[256] = {};
  return judge(::syscall(SYS_io_uring_setup, 1, parameters), "io_uring_setup");
}

Outcome make_bpf_map() {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = attributes.value_size = 4;
  attributes.max_entries = 1;
  return judge(::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), "bpf");
}

Outcome make_perf_event() {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof attributes;
  attributes.exclude_kernel = 1;
  return judge(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0), "perf_event_open");
}

Outcome open_by_handle() {
  struct {
    file_handle header;
    unsigned char bytes[MAX_HANDLE_SZ];
  } handle{};
  handle.header.handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  // A file system of the host's that every container has mounted: /proc has handles of its own.
  const char* const place = "/dev";
  if (::name_to_handle_at(AT_FDCWD, place, &handle.header, &mount_id, 0) != 0)
    return judge(-1, "name_to_handle_at");
  const int folder = ::open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int fd = ::open_by_handle_at(folder, &handle.header, O_RDONLY | O_CLOEXEC);
  const auto outcome = judge(fd, "open_by_handle_at");
  if (fd >= 0) ::close(fd);
  if (folder >= 0) ::close(folder);
  return outcome;
}

}  // namespace flow_runner::probe
