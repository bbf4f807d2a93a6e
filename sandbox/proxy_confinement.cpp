#include "sandbox/proxy_confinement.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <grp.h>
#include <linux/capability.h>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/capabilities.hpp"

namespace flow_runner {
namespace {

Error cannot(const std::string& what, int code = errno) {
  return errno_error("cannot confine the network proxy: " + what, code);
}

struct Capabilities {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
};

bool may_change_user() {
  Capabilities own;
  if (::syscall(SYS_capget, &own.header, own.sets.data()) != 0) return false;
  constexpr std::uint32_t needed = 1U << CAP_SETUID | 1U << CAP_SETGID;
  return (own.sets[0].effective & needed) == needed;
}

/// Whether the user namespace knows an id: /proc/self/uid_map or gid_map.
bool is_mapped(const char* map, std::uint32_t id) {
  std::ifstream lines(map);
  std::uint64_t first = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  while (lines >> first >> outside >> count)
    if (id >= first && id - first < count) return true;
  return false;
}

Result<void> become(std::uint32_t uid, std::uint32_t gid) {
  if (!may_change_user() || !is_mapped("/proc/self/uid_map", uid) ||
      !is_mapped("/proc/self/gid_map", gid))
    return {};
  // A user namespace of an ordinary user may forbid setgroups; its groups give nothing there then.
  if (::setgroups(0, nullptr) != 0 && errno != EPERM) return cannot("setgroups");
  if (::setresgid(gid, gid, gid) != 0) return cannot("setresgid");
  if (::setresuid(uid, uid, uid) != 0) return cannot("setresuid");
  return {};
}

Result<void> drop_rights(std::uint32_t uid, std::uint32_t gid) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return cannot("no_new_privs");
  // First, for the change of user takes the right to do it; who has none has nothing to lose.
  const auto shrunk = shrink_bounding_set({});
  if (!shrunk && may_change_user()) return shrunk.error();
  FR_CHECK(become(uid, gid));
  FR_CHECK(keep_capabilities({}));
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) return cannot("setrlimit");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return cannot("not dumpable");
  return {};
}

/// What a loop of sockets, pipes and timers takes, and getaddrinfo(3) in threads: it reads files
/// and loads modules.
constexpr std::array allowed = {SCMP_SYS(read),
                                SCMP_SYS(readv),
                                SCMP_SYS(pread64),
                                SCMP_SYS(write),
                                SCMP_SYS(writev),
                                SCMP_SYS(lseek),
                                SCMP_SYS(close),
                                SCMP_SYS(fstat),
                                SCMP_SYS(stat),
                                SCMP_SYS(lstat),
                                SCMP_SYS(newfstatat),
                                SCMP_SYS(statx),
                                SCMP_SYS(fstatfs),
                                SCMP_SYS(access),
                                SCMP_SYS(faccessat),
                                SCMP_SYS(faccessat2),
                                SCMP_SYS(getdents64),
                                SCMP_SYS(readlink),
                                SCMP_SYS(readlinkat),
                                SCMP_SYS(getcwd),
                                SCMP_SYS(fcntl),
                                SCMP_SYS(fadvise64),
                                SCMP_SYS(dup),
                                SCMP_SYS(pipe),
                                SCMP_SYS(pipe2),
                                SCMP_SYS(splice),
                                SCMP_SYS(eventfd2),
                                SCMP_SYS(timerfd_create),
                                SCMP_SYS(timerfd_settime),
                                SCMP_SYS(epoll_create),
                                SCMP_SYS(epoll_create1),
                                SCMP_SYS(epoll_ctl),
                                SCMP_SYS(epoll_wait),
                                SCMP_SYS(epoll_pwait),
                                SCMP_SYS(poll),
                                SCMP_SYS(ppoll),
                                SCMP_SYS(select),
                                SCMP_SYS(pselect6),
                                SCMP_SYS(connect),
                                SCMP_SYS(accept),
                                SCMP_SYS(accept4),
                                SCMP_SYS(bind),
                                SCMP_SYS(shutdown),
                                SCMP_SYS(getsockname),
                                SCMP_SYS(getpeername),
                                SCMP_SYS(getsockopt),
                                SCMP_SYS(setsockopt),
                                SCMP_SYS(sendto),
                                SCMP_SYS(sendmsg),
                                SCMP_SYS(sendmmsg),
                                SCMP_SYS(recvfrom),
                                SCMP_SYS(recvmsg),
                                SCMP_SYS(recvmmsg),
                                SCMP_SYS(mmap),
                                SCMP_SYS(munmap),
                                SCMP_SYS(mremap),
                                SCMP_SYS(mprotect),
                                SCMP_SYS(madvise),
                                SCMP_SYS(brk),
                                SCMP_SYS(futex),
                                SCMP_SYS(futex_waitv),
                                SCMP_SYS(set_robust_list),
                                SCMP_SYS(rseq),
                                SCMP_SYS(getpid),
                                SCMP_SYS(gettid),
                                SCMP_SYS(getppid),
                                SCMP_SYS(getuid),
                                SCMP_SYS(geteuid),
                                SCMP_SYS(getgid),
                                SCMP_SYS(getegid),
                                SCMP_SYS(getrandom),
                                SCMP_SYS(clock_gettime),
                                SCMP_SYS(clock_getres),
                                SCMP_SYS(clock_nanosleep),
                                SCMP_SYS(nanosleep),
                                SCMP_SYS(gettimeofday),
                                SCMP_SYS(time),
                                SCMP_SYS(uname),
                                SCMP_SYS(sysinfo),
                                SCMP_SYS(sched_yield),
                                SCMP_SYS(sched_getaffinity),
                                SCMP_SYS(rt_sigaction),
                                SCMP_SYS(rt_sigprocmask),
                                SCMP_SYS(rt_sigreturn),
                                SCMP_SYS(sigaltstack),
                                SCMP_SYS(restart_syscall),
                                SCMP_SYS(exit),
                                SCMP_SYS(exit_group)};

/// Adds rules one by one and remembers the first failure.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}
  template <class... Arguments>
  void allow(int call, Arguments... arguments) {
    add(SCMP_ACT_ALLOW, call, arguments...);
  }
  template <class... Arguments>
  void add(std::uint32_t action, int call, Arguments... arguments) {
    const int added = seccomp_rule_add(filter_, action, call, sizeof...(arguments), arguments...);
    // -EDOM: this machine's architecture has no such call.
    if (added != 0 && added != -EDOM && failure_ == 0) failure_ = -added;
  }
  [[nodiscard]] int failure() const { return failure_; }

 private:
  scmp_filter_ctx filter_;
  int failure_ = 0;
};

void add_conditional(Rules& rules) {
  // Reading only: no access mode but O_RDONLY, nothing created or cut.
  constexpr scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
  rules.allow(SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, writing, 0));
  rules.allow(SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, writing, 0));
  // Threads of this process, and nothing else. clone3 and openat2 have their arguments out of a
  // filter's reach; ENOSYS makes libc use the older calls.
  rules.allow(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  rules.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  rules.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2));
  for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
    rules.allow(SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
  for (const scmp_datum_t request : {0x541BU /* FIONREAD */, 0x5421U /* FIONBIO */})
    rules.allow(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, request));
  // Limits are asked for (the size of a thread's stack), never set.
  rules.allow(SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
  rules.allow(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid())));
}

Result<void> filter_calls() {
  struct Release {
    void operator()(void* context) const noexcept { seccomp_release(context); }
  };
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return cannot("seccomp", ENOMEM);
  Rules rules(filter.get());
  for (const int call : allowed) rules.allow(call);
  add_conditional(rules);
  if (rules.failure() != 0) return cannot("seccomp", rules.failure());
  const int loaded = seccomp_load(filter.get());
  if (loaded != 0) return cannot("seccomp", -loaded);
  return {};
}

}  // namespace

Result<void> confine_proxy(std::uint32_t uid, std::uint32_t gid) {
  const pid_t parent = ::getppid();
  FR_CHECK(drop_rights(uid, gid));
  // The kernel forgets it when the user changes.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return cannot("parent-death signal");
  if (::getppid() != parent) return Error{ErrorCode::cancelled, "the network proxy's parent ended"};
  return filter_calls();
}

}  // namespace flow_runner
