#include "executor/executor_process.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/capability.h>
#include <optional>
#include <sched.h>
#include <span>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "config/job_json.hpp"
#include "executor/executor_channel.hpp"
#include "executor/git_worker.hpp"
#include "executor/pipeline.hpp"
#include "executor/shell_channel.hpp"
#include "sandbox/capabilities.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/mount.hpp"
#include "sandbox/scratch.hpp"

namespace flow_runner {
namespace {

namespace asio = boost::asio;

constexpr std::uint64_t scratch_bytes = 256ULL
                                        << 20;  // bundle, script, file variables, runtime state
constexpr std::uint32_t max_requests_at_once = 64;

struct Arguments {
  bool salvage = false;
  std::filesystem::path state;
  std::string id;
  RunOptions options{};
};

// All that an executor and its helpers need, on the host or in the user's namespace.
constexpr std::array needed_capabilities = {
    CAP_SYS_ADMIN,     // mounts, namespaces, id-mapped mounts, trusted.overlay.* attributes
    CAP_SETUID,        // the job's id maps; the proxy's and the job's users
    CAP_SETGID,        // the same for groups
    CAP_SETFCAP,       // mapping id 0; file capabilities in an image's layers
    CAP_CHOWN,         // workspace and files for the job's user; an image's layers
    CAP_DAC_OVERRIDE,  // reading and removing what the job's users wrote
    CAP_DAC_READ_SEARCH,
    CAP_FOWNER,      // modes and times of an image's layers; removing
    CAP_FSETID,      // setgid folders in an image's layers
    CAP_MKNOD,       // whiteouts
    CAP_SYS_CHROOT,  // podman unpacks layers in a chroot
    CAP_SETPCAP,     // giving up more: the git worker, the proxy, the job
    CAP_KILL,        // ending the job's processes
    CAP_SYS_PTRACE,  // seeing which files they hold open
};

int held_pipe_write = -1;  // written by the signal handler: async-signal-safe, hence a global

void forward_stop(int) {
  const char request = static_cast<char>(ChannelRequest::cancel);
  [[maybe_unused]] const auto written = ::write(held_pipe_write, &request, 1);
}

/// Reads single-byte requests and hands them to the cancellation; the end of the stream is told
/// apart.
asio::awaitable<void> listen_for_requests(asio::posix::stream_descriptor& stream,
                                          Cancellation& cancellation,
                                          std::function<void()> on_closed) {
  std::array<char, max_requests_at_once> buffer;
  while (true) {
    boost::system::error_code error;
    const std::size_t n = co_await stream.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {
      on_closed();
      co_return;
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (buffer[i] == static_cast<char>(ChannelRequest::cancel))
        cancellation.request(StopCause::canceled);
      if (buffer[i] == static_cast<char>(ChannelRequest::kill)) cancellation.kill_now();
    }
  }
}

/// Progress is lossy: a client that does not read must never stop a job.
void send_progress(int fd, const nlohmann::json& progress) {
  const std::string line =
      progress.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  [[maybe_unused]] const auto sent =
      ::send(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

Result<std::filesystem::path> prepare_mounts() {
  FR_CHECK(enter_mount_namespace(ProcMount::fresh));
  FR_TRY(auto scratch, scratch_folder());
  FR_CHECK(mount_tmpfs(scratch, scratch_bytes, 0711));
  return scratch;
}

Result<void> run_inner(const Arguments& arguments, Descriptor held) {
  std::optional<Job> job;
  if (!arguments.salvage) {
    FR_TRY(std::string text, receive_job(channel_fd));
    auto json = nlohmann::json::parse(text, nullptr, false);
    explicit_bzero(text.data(), text.size());
    FR_TRY(job, job_from_json(json));
  }
  FR_TRY(auto scratch, prepare_mounts());
  FR_TRY(const auto state, StateDirectory::open(arguments.state));

  asio::io_context loop(1);
  Cancellation cancellation;
  PipelineContext context{.state = state,
                          .directory = JobDirectory(state.jobs() / arguments.id),
                          .scratch = std::move(scratch),
                          .git_worker = git_worker_program(),
                          .on_progress = {},
                          .options = arguments.options,
                          .shell_fd = arguments.options.shell == ShellUse::none ? -1 : shell_fd};
  asio::posix::stream_descriptor held_stream(loop, held.release());
  asio::posix::stream_descriptor channel(loop);
  // The outer process died and the kernel's signal did not reach us: nothing may go on.
  asio::co_spawn(loop, listen_for_requests(held_stream, cancellation, [] { ::_exit(1); }),
                 [](const std::exception_ptr&) {});
  if (job) {
    channel.assign(channel_fd);
    context.on_progress = [](const nlohmann::json& progress) {
      send_progress(channel_fd, progress);
    };
    asio::co_spawn(
        loop,
        listen_for_requests(channel, cancellation,
                            [&] { cancellation.request(StopCause::runner_interrupted); }),
        [](const std::exception_ptr&) {});
  }
  std::exception_ptr escaped;
  auto work = job ? run_pipeline(std::move(*job), std::move(context), cancellation)
                  : salvage_job(std::move(context), cancellation);
  asio::co_spawn(loop, std::move(work), [&](const std::exception_ptr& error, const JobResult&) {
    escaped = error;
    held_stream.cancel();
    if (channel.is_open()) channel.cancel();
  });
  loop.run();
  if (escaped) std::rethrow_exception(escaped);
  return {};
}

[[noreturn]] void inner_main(const Arguments& arguments, Descriptor held) {
  // Secrets are in this memory: no core dump, and no look into it by others of this user.
  ::prctl(PR_SET_DUMPABLE, 0);
  int code = 1;
  try {
    if (const auto done = run_inner(arguments, std::move(held)); !done)
      std::fprintf(stderr, "flow-runner: executor of job %s: %s\n", arguments.id.c_str(),
                   done.error().message.c_str());
    else
      code = 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flow-runner: executor of job %s: %s\n", arguments.id.c_str(),
                 error.what());
  }
  std::fflush(nullptr);
  ::_exit(code);
}

int outer_main(const Arguments& arguments, pid_t inner) {
  // Whoever holds these would keep the client waiting or the job locked after the inner one's end.
  ::close(channel_fd);
  ::close(lock_fd);
  if (arguments.options.shell != ShellUse::none) ::close(shell_fd);
  int status = 0;
  while (::waitpid(inner, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<int> start(const Arguments& arguments) {
  FR_TRY(Pipe held, make_pipe());
  // A full pipe must not block the signal handler.
  ::fcntl(held.write.get(), F_SETFL, O_NONBLOCK);
  held_pipe_write = held.write.get();
  struct sigaction action {};
  action.sa_handler = forward_stop;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  FR_CHECK(keep_capabilities(needed_capabilities));
  if (::unshare(CLONE_NEWPID) != 0) return errno_error("cannot make a PID namespace");
  const pid_t inner = ::fork();
  if (inner < 0) return errno_error("cannot fork");
  if (inner > 0) {
    held.read.close();
    return outer_main(arguments, inner);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The outer process may be dead already; then the held pipe is closed, which the loop notices
  // first.
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  held.write.close();
  inner_main(arguments, std::move(held.read));
}

}  // namespace

int executor_main(const std::vector<std::string>& arguments) {
  const bool salvage = !arguments.empty() && arguments[0] == "salvage";
  const bool run = !arguments.empty() && arguments[0] == "run";
  const auto options =
      run_options_from(std::span(arguments).subspan(std::min<std::size_t>(arguments.size(), 3)));
  if (arguments.size() < 3 || (!run && !salvage) || !options) {
    std::fprintf(stderr, "flow-runner: job-executor is started by flow-runner itself\n");
    return 64;
  }
  for (const int fd : {channel_fd, lock_fd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (options->shell != ShellUse::none) ::fcntl(shell_fd, F_SETFD, FD_CLOEXEC);
  const auto code = start({salvage, arguments[1], arguments[2], *options});
  if (code) return *code;
  std::fprintf(stderr, "flow-runner: %s\n", code.error().message.c_str());
  return 1;
}

}  // namespace flow_runner
