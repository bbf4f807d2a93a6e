#include "sandbox/seccomp.hpp"

#include <array>
#include <cerrno>
#include <string_view>

namespace flow_runner {
namespace {

using nlohmann::json;

constexpr std::array allowed = std::to_array<std::string_view>({
    "_llseek", "_newselect", "accept", "accept4", "access", "alarm", "arch_prctl", "arm_fadvise64_64",
    "arm_sync_file_range", "bind", "brk", "breakpoint", "cacheflush", "cachestat", "capget", "capset",
    "chdir", "chmod", "chown", "chown32", "chroot", "clock_getres", "clock_getres_time64",
    "clock_gettime", "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "close",
    "close_range", "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create",
    "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat",
    "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2",
    "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr",
    "flock", "fork", "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs",
    "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue", "futex_time64",
    "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_mempolicy", "get_robust_list",
    "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid",
    "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername",
    "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32",
    "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt",
    "gettid", "gettimeofday", "getuid", "getuid32", "getxattr", "inotify_add_watch", "inotify_init",
    "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "ipc", "kill", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link",
    "linkat", "listen", "listxattr", "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat",
    "lstat64", "madvise", "map_shadow_stack", "mbind", "membarrier", "memfd_create", "mincore", "mkdir",
    "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap",
    "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap",
    "name_to_handle_at", "nanosleep", "newfstatat", "open", "openat", "openat2", "pause",
    "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect",
    "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
    "process_madvise", "process_mrelease", "pselect6", "pselect6_time64", "pwrite64", "pwritev",
    "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "remap_file_pages", "removexattr", "rename", "renameat", "renameat2",
    "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield",
    "seccomp", "select", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "send",
    "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto", "set_mempolicy", "set_robust_list",
    "set_thread_area", "set_tid_address", "set_tls", "setfsgid", "setfsgid32", "setfsuid",
    "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer", "setpgid",
    "setpriority", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32",
    "setreuid", "setreuid32", "setrlimit", "setsid", "setsockopt", "setuid", "setuid32", "setxattr",
    "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaction", "sigaltstack", "signal", "signalfd",
    "signalfd4", "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "socketpair", "splice", "stat",
    "stat64", "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs",
    "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create",
    "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times", "tkill",
    "truncate", "truncate64", "ugetrlimit", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat",
    "utimensat_time64", "utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev",
});

/// Known, and refused with EPERM: the caller is told that it may not, not that it does not exist.
constexpr std::array refused = std::to_array<std::string_view>({
    "acct", "add_key", "adjtimex", "bpf", "clock_adjtime", "clock_adjtime64", "clock_settime",
    "clock_settime64", "delete_module", "fanotify_init", "fanotify_mark", "finit_module", "get_kernel_syms",
    "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "migrate_pages", "move_pages",
    "nfsservctl", "open_by_handle_at", "perf_event_open", "pidfd_getfd", "process_vm_readv",
    "process_vm_writev", "ptrace", "query_module", "quotactl", "quotactl_fd", "reboot", "request_key",
    "setdomainname", "sethostname", "setns", "settimeofday", "stime", "swapoff", "swapon", "sysfs", "syslog",
    "umount", "uselib", "userfaultfd", "ustat", "vhangup", "vm86", "vm86old",
});

/// What a nested user namespace needs.
constexpr std::array nesting = std::to_array<std::string_view>({
    "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree",
    "pivot_root", "umount2", "unshare",
});

constexpr std::uint64_t namespace_flags = 0x7E020000;  // every CLONE_NEW* of <linux/sched.h>

json rule(const json& names, const char* action, json arguments = json::array()) {
  json entry = {{"names", names}, {"action", action}};
  if (!arguments.empty()) entry["args"] = std::move(arguments);
  return entry;
}

json refusal(const json& names, int code, json arguments = json::array()) {
  json entry = rule(names, "SCMP_ACT_ERRNO", std::move(arguments));
  entry["errnoRet"] = code;
  return entry;
}

json argument(unsigned index, const char* operation, std::uint64_t value, std::uint64_t second = 0) {
  return {{"index", index}, {"op", operation}, {"value", value}, {"valueTwo", second}};
}

const char* native_architecture() {
#if defined(__x86_64__)
  return "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
  return "SCMP_ARCH_AARCH64";
#else
#error "add the seccomp architecture of this machine"
#endif
}

}  // namespace

json seccomp_profile(NestedNamespaces nested) {
  json rules = json::array();
  rules.push_back(rule(json(allowed), "SCMP_ACT_ALLOW"));
  rules.push_back(refusal(json(refused), EPERM));
  if (nested == NestedNamespaces::allow) {
    rules.push_back(rule(json(nesting), "SCMP_ACT_ALLOW"));
    rules.push_back(rule({"clone"}, "SCMP_ACT_ALLOW"));
  } else {
    rules.push_back(refusal(json(nesting), EPERM));
    rules.push_back(rule({"clone"}, "SCMP_ACT_ALLOW",
                         json::array({argument(0, "SCMP_CMP_MASKED_EQ", namespace_flags, 0)})));
  }
  // clone3 takes its flags by pointer, out of a filter's reach; ENOSYS makes libc use clone.
  rules.push_back(refusal({"clone3"}, ENOSYS));
  for (const std::uint64_t family : {1, 2, 10, 16})  // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
    rules.push_back(
        rule({"socket"}, "SCMP_ACT_ALLOW", json::array({argument(0, "SCMP_CMP_EQ", family)})));
  for (const std::uint64_t persona : {0x0, 0x8, 0x20000, 0x20008})
    rules.push_back(
        rule({"personality"}, "SCMP_ACT_ALLOW", json::array({argument(0, "SCMP_CMP_EQ", persona)})));
  rules.push_back(rule({"personality"}, "SCMP_ACT_ALLOW",
                       json::array({argument(0, "SCMP_CMP_EQ", 0xffffffff)})));
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", ENOSYS},
          {"architectures", json::array({native_architecture()})},
          {"syscalls", std::move(rules)}};
}

}  // namespace flow_runner
