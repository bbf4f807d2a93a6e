#include "sandbox/process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Boost.Process v2 leaves the includes of these to its user when it uses std::filesystem.
#include <filesystem>
#include <optional>
#include <type_traits>

#include <boost/optional.hpp>

#define BOOST_PROCESS_USE_STD_FS 1
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/process/v2/posix/default_launcher.hpp>
#include <boost/process/v2/process.hpp>

#include "sandbox/alarm.hpp"

namespace flow_runner {
namespace {

namespace process_v2 = boost::process::v2;
using boost::system::error_code;

/// First number for the copies that keep descriptors apart while they are moved to their places.
constexpr int parking_floor = 300;

error_code last_error() { return {errno, boost::system::system_category()}; }

/// Boost.Process initializer: everything that happens in the child between fork and exec.
struct ChildSetup {
  const ProcessSpec& spec;
  std::vector<std::pair<int, int>> descriptors;  // {ours, number in the child}
  pid_t parent;

  template <class Launcher>
  error_code on_setup(Launcher& launcher, const std::filesystem::path&, const char* const*&) {
    for (const auto& [ours, number] : descriptors) launcher.fd_whitelist.push_back(number);
    return {};
  }

  template <class Launcher>
  error_code on_exec_setup(Launcher&, const std::filesystem::path&, const char* const*&) {
    ::setpgid(0, 0);
    if (spec.user_namespace >= 0 && !enter_user_namespace()) return last_error();
    if (spec.lifetime == Lifetime::with_parent) {
      if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return last_error();
      // The parent may have died before the signal was asked for.
      if (::getppid() != parent) ::_exit(127);
    }
    for (const auto& [resource, value] : spec.resource_limits) {
      const rlimit limit{.rlim_cur = value, .rlim_max = value};
      if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return last_error();
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD})
      ::signal(number, SIG_DFL);
    for (const auto& file : spec.cgroup_procs) {
      const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
      if (fd < 0 || ::write(fd, "0", 1) != 1) return last_error();
      ::close(fd);
    }
    if (!spec.working_directory.empty() && ::chdir(spec.working_directory.c_str()) != 0)
      return last_error();
    return move_descriptors();
  }

  template <class Launcher>
  void on_exec_error(Launcher&, const std::filesystem::path&, const char* const*&,
                     const error_code&) {
    // The launcher would go on to exit(), which runs the parent's exit handlers in the child.
    ::_exit(127);
  }

 private:
  /// Before the death signal is asked for, which a change of user clears.
  [[nodiscard]] bool enter_user_namespace() const {
    return ::setns(spec.user_namespace, CLONE_NEWUSER) == 0 && ::setresgid(0, 0, 0) == 0 &&
           ::setresuid(0, 0, 0) == 0 && ::unshare(CLONE_NEWNS) == 0;
  }

  error_code move_descriptors() {
    // Boost 1.81 closes only what lies behind the last descriptor that is kept, not the gaps
    // between.
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return last_error();
    for (auto& [ours, number] : descriptors) {
      ours = ::fcntl(ours, F_DUPFD_CLOEXEC, parking_floor);
      if (ours < 0) return last_error();
    }
    for (const auto& [ours, number] : descriptors)
      if (::dup2(ours, number) < 0) return last_error();
    return {};
  }
};

/// Keeps the numbers that the child's descriptors will get from being handed out to the launcher's
/// own pipe, which would be overwritten in the child.
class ReservedNumbers {
 public:
  explicit ReservedNumbers(const std::vector<std::pair<int, int>>& descriptors, int filler) {
    for (const auto& [ours, number] : descriptors) {
      if (::fcntl(number, F_GETFD) != -1) continue;
      if (::dup3(filler, number, O_CLOEXEC) == number) held_.emplace_back(number);
    }
  }

 private:
  std::vector<Descriptor> held_;
};

Result<std::filesystem::path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return std::filesystem::path(name);
  const char* path = std::getenv("PATH");
  const std::string_view search = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  for (std::size_t begin = 0; begin <= search.size();) {
    const std::size_t end = std::min(search.find(':', begin), search.size());
    if (end > begin) {
      auto candidate = std::filesystem::path(search.substr(begin, end - begin)) / name;
      if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    begin = end + 1;
  }
  // sbin is not in an ordinary user's PATH, and runc and others live there on some distributions.
  for (const char* folder : {"/usr/sbin", "/sbin"}) {
    auto candidate = std::filesystem::path(folder) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Error{ErrorCode::not_found, "program '" + name + "' is not in PATH; install it"};
}

}  // namespace

struct Process::State {
  State(const asio::any_io_executor& executor, pid_t child, int pidfd, Lifetime life)
      : pid(child), descriptor(executor, pidfd), lifetime(life) {}

  pid_t pid;
  asio::posix::stream_descriptor descriptor;
  Lifetime lifetime;
  bool reaped = false;
};

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;

Process::~Process() {
  if (!state_ || state_->reaped) return;
  if (state_->lifetime == Lifetime::with_parent) signal_group(SIGKILL);
  ::waitpid(state_->pid, nullptr, WNOHANG);
}

int Process::pid() const noexcept { return state_->pid; }

void Process::signal_group(int signal) noexcept {
  if (!state_->reaped) ::kill(-state_->pid, signal);
}

Result<Process> Process::spawn(asio::any_io_executor executor, const ProcessSpec& spec) {
  FR_TRY(const auto program, find_program(spec.argv.at(0)));
  FR_TRY(const Descriptor null, open_file("/dev/null", O_RDWR));
  std::vector<std::pair<int, int>> descriptors = spec.extra_fds;
  const std::array standard = {spec.stdin_fd, spec.stdout_fd, spec.stderr_fd};
  for (int number = 0; number < 3; ++number) {
    const int ours = standard[static_cast<std::size_t>(number)];
    descriptors.emplace_back(ours >= 0 ? ours : null.get(), number);
  }
  const ReservedNumbers reserved(spec.extra_fds, null.get());

  std::vector<const char*> environment;
  environment.reserve(spec.environment.size() + 1);
  for (const auto& entry : spec.environment) environment.push_back(entry.c_str());
  environment.push_back(nullptr);

  process_v2::posix::default_launcher launcher;
  launcher.env = environment.data();
  const std::vector<std::string> arguments(spec.argv.begin() + 1, spec.argv.end());
  error_code error;
  auto child = launcher(executor, error, program, arguments,
                        ChildSetup{spec, std::move(descriptors), ::getpid()});
  if (error)
    return Error{ErrorCode::internal, "cannot start " + program.string() + ": " + error.message()};
  const pid_t pid = child.id();
  // Boost's own wait can block the loop on a live child; from here on the pidfd is ours.
  child.detach();
  ::setpgid(pid, pid);
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    auto failure = errno_error("cannot open a pidfd");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return failure;
  }
  return Process(std::make_unique<State>(executor, pid, pidfd, spec.lifetime));
}

asio::awaitable<Result<ExitStatus>> Process::wait() {
  State& state = *state_;
  while (!state.reaped) {
    error_code error;
    co_await state.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                         asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return Error{ErrorCode::cancelled, "waiting for a process: " + error.message()};
    int status = 0;
    const pid_t result = ::waitpid(state.pid, &status, WNOHANG);
    if (result == 0 || (result < 0 && errno == EINTR)) continue;
    if (result < 0) co_return errno_error("cannot wait for a process");
    state.reaped = true;
    if (WIFSIGNALED(status)) co_return ExitStatus{128 + WTERMSIG(status), WTERMSIG(status)};
    co_return ExitStatus{WEXITSTATUS(status), 0};
  }
  co_return Error{ErrorCode::internal, "a process was waited for twice"};
}

namespace {

/// Collects one pipe to its end or to the limit; beyond the limit it goes on reading, so that the
/// child never blocks, and drops.
asio::awaitable<bool> collect(asio::posix::stream_descriptor& pipe, std::string& text,
                              std::size_t limit, const OutputCallback& callback) {
  std::array<char, 16384> buffer;
  bool complete = true;
  while (true) {
    error_code error;
    const std::size_t n = co_await pipe.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return complete;
    const std::string_view piece(buffer.data(), n);
    if (callback) callback(piece);
    const std::size_t room = limit - text.size();
    text.append(piece.substr(0, room));
    if (n > room) complete = false;
  }
}

}  // namespace

asio::awaitable<Result<RunOutput>> run_process(ProcessSpec spec, RunLimits limits,
                                               Cancellation& cancellation,
                                               OutputCallback on_stderr) {
  using namespace asio::experimental::awaitable_operators;
  const std::string name = spec.argv.at(0);
  if (cancellation.requested()) co_return Error{ErrorCode::cancelled, name + " was not started"};
  const auto executor = co_await asio::this_coro::executor;
  FR_CO_TRY(Pipe out, make_pipe());
  FR_CO_TRY(Pipe err, make_pipe());
  spec.stdout_fd = out.write.get();
  spec.stderr_fd = err.write.get();
  FR_CO_TRY(Process process, Process::spawn(executor, spec));
  out.write.close();
  err.write.close();

  asio::posix::stream_descriptor out_stream(executor, out.read.release());
  asio::posix::stream_descriptor err_stream(executor, err.read.release());
  Alarm grace(executor);
  const auto terminate = [&] {
    process.signal_group(SIGTERM);
    grace.set(limits.grace, [&] { process.signal_group(SIGKILL); });
  };
  const auto on_request = cancellation.on_request([&](StopCause) { terminate(); });
  const auto on_kill = cancellation.on_kill([&](StopCause) { process.signal_group(SIGKILL); });

  bool late = false;
  Alarm deadline(executor);
  deadline.set(limits.deadline, [&] {
    late = true;
    terminate();
  });

  // A grandchild that left the group may hold the pipes open for ever: after the child's end they
  // get one more second.
  Alarm drain(executor);
  const auto wait_then_drain = [&]() -> asio::awaitable<Result<ExitStatus>> {
    auto status = co_await process.wait();
    drain.set(std::chrono::seconds(1), [&] {
      out_stream.close();
      err_stream.close();
    });
    co_return status;
  };

  RunOutput output;
  auto [status, out_complete, err_complete] = co_await (
      wait_then_drain() && collect(out_stream, output.stdout_text, limits.max_output, {}) &&
      collect(err_stream, output.stderr_text, limits.max_output, on_stderr));
  if (!status) co_return status.error();
  if (late)
    co_return Error{ErrorCode::timed_out, name + " did not end within " +
                                              std::to_string(limits.deadline.count()) + " ms"};
  if (cancellation.requested()) co_return Error{ErrorCode::cancelled, name + " was cancelled"};
  if (!out_complete)
    co_return Error{ErrorCode::internal,
                    name + " printed more than " + std::to_string(limits.max_output) + " bytes"};
  output.status = *status;
  co_return output;
}

std::vector<std::string> tool_environment() {
  std::vector<std::string> environment = {"LANG=C.UTF-8"};
  for (const char* name : {"PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "http_proxy", "https_proxy",
                           "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                           "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    if (const char* value = std::getenv(name))
      environment.push_back(std::string(name) + "=" + value);
  }
  return environment;
}

}  // namespace flow_runner
