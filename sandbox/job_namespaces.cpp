#include "sandbox/job_namespaces.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace flow_runner {
namespace {

constexpr int max_seconds = 10;
constexpr int backlog = 512;

/// What the child answers at each step: an error, or descriptors in the table that both share.
struct Answer {
  int code = 0;  ///< errno
  char step[48] = {};
  int user = -1;
  int network = -1;
  int listener = -1;
};

/// The child's half. It shares nothing but the descriptor table, and allocates nothing.
class Child {
 public:
  Child(const IdMapping& ids, JobNetwork network, int answers, int mapped)
      : ids_(ids), network_(network), answers_(answers), mapped_(mapped) {}

  [[noreturn]] void run() {
    become_owner();
    check(::unshare(CLONE_NEWUSER) == 0, "make a user namespace");
    // Not earlier: a change of user clears it, and makes us undumpable, so that an executor that
    // is not the host's root could not write our id map.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_DUMPABLE, 1);
    answer_.user = ::open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    check(answer_.user >= 0, "open the user namespace");
    tell();
    char go = 0;
    check(::read(mapped_, &go, 1) == 1, "wait for the id map");
    if (network_ != JobNetwork::shared) make_network();
    tell();
    ::_exit(0);
  }

 private:
  void tell() { [[maybe_unused]] const auto n = ::write(answers_, &answer_, sizeof answer_); }

  void check(bool good, const char* step) {
    if (good) return;
    answer_.code = errno;
    std::strncpy(answer_.step, step, sizeof answer_.step - 1);
    tell();
    ::_exit(1);
  }

  /// The job's root, but with the caller's rights, so that no sysctl against unprivileged user
  /// namespaces is in the way.
  void become_owner() {
    check(::prctl(PR_SET_KEEPCAPS, 1) == 0, "keep the capabilities");
    // The system calls themselves: libc's would look for other threads.
    check(::syscall(SYS_setgroups, 0, nullptr) == 0, "drop the groups");
    check(::syscall(SYS_setresgid, ids_.outside, ids_.outside, ids_.outside) == 0,
          "take the job's group");
    check(::syscall(SYS_setresuid, ids_.outside, ids_.outside, ids_.outside) == 0,
          "take the job's user");
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> sets{};
    check(::syscall(SYS_capget, &header, sets.data()) == 0, "read the capabilities");
    for (auto& set : sets) set.effective = set.permitted;
    check(::syscall(SYS_capset, &header, sets.data()) == 0, "raise the capabilities");
  }

  void make_network() {
    check(::unshare(CLONE_NEWNET) == 0, "make a network namespace");
    answer_.network = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    check(answer_.network >= 0, "open the network namespace");
    const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(any >= 0, "make a socket");
    ifreq lo{};
    std::strncpy(lo.ifr_name, "lo", sizeof lo.ifr_name - 1);
    check(::ioctl(any, SIOCGIFFLAGS, &lo) == 0, "look at lo");
    lo.ifr_flags |= IFF_UP;
    check(::ioctl(any, SIOCSIFFLAGS, &lo) == 0, "bring lo up");
    ::close(any);
    if (network_ != JobNetwork::with_listener) return;
    answer_.listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    check(answer_.listener >= 0, "make a listener");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(proxy_port_in_job);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(::bind(answer_.listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
          "bind the listener");
    check(::listen(answer_.listener, backlog) == 0, "listen");
  }

  IdMapping ids_;
  JobNetwork network_;
  int answers_;
  int mapped_;
  Answer answer_;
};

Result<Answer> read_answer(int fd) {
  Answer answer;
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, max_seconds * 1000) != 1)
    return Error{ErrorCode::timed_out, "making the job's namespaces took too long"};
  if (::read(fd, &answer, sizeof answer) != static_cast<ssize_t>(sizeof answer))
    return Error{ErrorCode::internal, "the process that makes the job's namespaces died"};
  if (answer.code != 0)
    return errno_error("cannot make the job's namespaces: " + std::string(answer.step),
                       answer.code);
  return answer;
}

}  // namespace

Result<JobNamespaces> make_job_namespaces(const IdMapping& ids, JobNetwork network) {
  FR_TRY(Pipe answers, make_pipe());
  FR_TRY(Pipe mapped, make_pipe());
  // A descriptor table in common: what the child opens is ours as well.
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
  if (child < 0) return errno_error("cannot fork");
  if (child == 0) Child(ids, network, answers.write.get(), mapped.read.get()).run();

  JobNamespaces made;
  const auto steps = [&]() -> Result<void> {
    FR_TRY(Answer answer, read_answer(answers.read.get()));
    made.user = Descriptor(answer.user);
    FR_CHECK(write_id_maps(child, {ids}, {ids}));
    FR_CHECK(write_all(mapped.write.get(), "."));
    FR_TRY(answer, read_answer(answers.read.get()));
    made.network = Descriptor(answer.network);
    made.listener = Descriptor(answer.listener);
    return {};
  };
  const auto done = steps();
  if (!done) ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (!done) return done.error();
  return made;
}

}  // namespace flow_runner
