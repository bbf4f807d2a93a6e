// The program flow-runner-proxy: settings on stdin, a listener as descriptor 3, events on stdout.
#include <array>
#include <csignal>
#include <cstdio>
#include <deque>
#include <fcntl.h>
#include <grp.h>
#include <memory>
#include <seccomp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "sandbox/capabilities.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/proxy_server.hpp"

using namespace flow_runner;
namespace asio = boost::asio;

namespace {

constexpr std::size_t max_settings = 4 << 20;
constexpr std::size_t max_waiting_events = 4096;

/// Refuses what a proxy never does: start programs, open files for writing, change what files there
/// are, look into other processes, make namespaces or mounts. The rest stays, for the C library
/// resolves names by whatever modules the host has.
Result<void> filter_calls() {
  struct Release {
    void operator()(void* context) const noexcept { seccomp_release(context); }
  };
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return errno_error("seccomp", ENOMEM);
  constexpr std::array refused = {SCMP_SYS(execve),
                                  SCMP_SYS(execveat),
                                  SCMP_SYS(ptrace),
                                  SCMP_SYS(process_vm_readv),
                                  SCMP_SYS(process_vm_writev),
                                  SCMP_SYS(pidfd_getfd),
                                  SCMP_SYS(kcmp),
                                  SCMP_SYS(mount),
                                  SCMP_SYS(umount2),
                                  SCMP_SYS(pivot_root),
                                  SCMP_SYS(chroot),
                                  SCMP_SYS(unshare),
                                  SCMP_SYS(setns),
                                  SCMP_SYS(open_tree),
                                  SCMP_SYS(move_mount),
                                  SCMP_SYS(mount_setattr),
                                  SCMP_SYS(fsopen),
                                  SCMP_SYS(bpf),
                                  SCMP_SYS(perf_event_open),
                                  SCMP_SYS(keyctl),
                                  SCMP_SYS(add_key),
                                  SCMP_SYS(request_key),
                                  SCMP_SYS(userfaultfd),
                                  SCMP_SYS(io_uring_setup),
                                  SCMP_SYS(open_by_handle_at),
                                  SCMP_SYS(kill),
                                  SCMP_SYS(tkill),
                                  SCMP_SYS(unlink),
                                  SCMP_SYS(unlinkat),
                                  SCMP_SYS(rename),
                                  SCMP_SYS(renameat),
                                  SCMP_SYS(renameat2),
                                  SCMP_SYS(mkdir),
                                  SCMP_SYS(mkdirat),
                                  SCMP_SYS(rmdir),
                                  SCMP_SYS(link),
                                  SCMP_SYS(linkat),
                                  SCMP_SYS(symlink),
                                  SCMP_SYS(symlinkat),
                                  SCMP_SYS(mknod),
                                  SCMP_SYS(mknodat),
                                  SCMP_SYS(chmod),
                                  SCMP_SYS(fchmod),
                                  SCMP_SYS(fchmodat),
                                  SCMP_SYS(chown),
                                  SCMP_SYS(fchown),
                                  SCMP_SYS(lchown),
                                  SCMP_SYS(fchownat),
                                  SCMP_SYS(truncate),
                                  SCMP_SYS(setxattr),
                                  SCMP_SYS(lsetxattr),
                                  SCMP_SYS(fsetxattr),
                                  SCMP_SYS(creat),
                                  SCMP_SYS(openat2)};
  for (const int call : refused) {
    const int added = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    // -EDOM: this machine's architecture has no such call.
    if (added != 0 && added != -EDOM) return errno_error("seccomp", -added);
  }
  for (const scmp_datum_t mode : {O_WRONLY, O_RDWR}) {
    const int at = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
                                    SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, mode));
    const int plain = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EACCES), SCMP_SYS(open), 1,
                                       SCMP_A1(SCMP_CMP_MASKED_EQ, O_ACCMODE, mode));
    if (at != 0 || (plain != 0 && plain != -EDOM)) return errno_error("seccomp", EINVAL);
  }
  const int loaded = seccomp_load(filter.get());
  if (loaded != 0) return errno_error("seccomp", -loaded);
  return {};
}

/// Nothing that a job sends may get hold of more than this process's sockets.
Result<void> give_up_rights(const ProxyConfig& config) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  constexpr rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  if (::geteuid() == 0 &&
      (::setgroups(0, nullptr) != 0 || ::setresgid(config.gid, config.gid, config.gid) != 0 ||
       ::setresuid(config.uid, config.uid, config.uid) != 0))
    return errno_error("cannot become the user " + std::to_string(config.uid));
  FR_CHECK(keep_capabilities({}));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error("no_new_privs");
  // The change of user has cleared it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno_error("parent-death signal");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return errno_error("not dumpable");
  return filter_calls();
}

/// Writes lines to stdout as fast as its reader takes them; too many waiting ones are dropped.
class Events {
 public:
  explicit Events(asio::io_context& loop) : output_(loop, STDOUT_FILENO), wake_(loop) {}

  void add(const NetworkEvent& event) {
    if (lines_.size() >= max_waiting_events) return;
    lines_.push_back(to_line(event) + "\n");
    wake_.cancel();
  }
  void finish() {
    finished_ = true;
    wake_.cancel();
  }
  asio::awaitable<void> run() {
    boost::system::error_code error;
    while (!error) {
      while (!lines_.empty() && !error) {
        const std::string line = std::move(lines_.front());
        lines_.pop_front();
        co_await asio::async_write(output_, asio::buffer(line),
                                   asio::redirect_error(asio::use_awaitable, error));
      }
      if (finished_ || error) co_return;
      boost::system::error_code ignored;
      wake_.expires_after(std::chrono::hours(1));
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

 private:
  asio::posix::stream_descriptor output_;
  asio::steady_timer wake_;
  std::deque<std::string> lines_;
  bool finished_ = false;
};

Result<void> serve() {
  FR_TRY(const std::string text, read_all(STDIN_FILENO, max_settings, "the proxy's settings"));
  FR_TRY(ProxyConfig config, proxy_config_from_text(text));
  FR_CHECK(give_up_rights(config));
  asio::io_context loop(1);
  boost::system::error_code error;
  asio::ip::tcp::acceptor listener(loop);
  listener.assign(asio::ip::tcp::v4(), proxy_listener_fd, error);
  if (error) return Error{ErrorCode::internal, "descriptor 3 is no listener: " + error.message()};
  Events events(loop);
  ProxyServer server(std::move(listener), std::move(config),
                     [&events](const NetworkEvent& event) { events.add(event); });
  asio::signal_set stop(loop, SIGTERM, SIGINT);
  stop.async_wait([&server](boost::system::error_code cancelled, int) {
    if (!cancelled) server.stop();
  });
  std::exception_ptr escaped;
  asio::co_spawn(loop, server.run(), [&](const std::exception_ptr& failure) {
    escaped = failure;
    events.finish();
  });
  asio::co_spawn(loop, events.run(), [&stop](const std::exception_ptr&) { stop.cancel(); });
  loop.run();
  if (escaped) std::rethrow_exception(escaped);
  return {};
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__)
// The leak check at exit traces this process, which the filter forbids.
extern "C" int __lsan_is_turned_off() { return 1; }
#endif

int main() {
  try {
    ::signal(SIGPIPE, SIG_IGN);
    const auto served = serve();
    if (served) return 0;
    std::fprintf(stderr, "flow-runner-proxy: %s\n", served.error().message.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flow-runner-proxy: %s\n", error.what());
  }
  return 1;
}
