#include "executor/executor_client.hpp"

#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "config/job_json.hpp"
#include "executor/executor_channel.hpp"
#include "executor/job_follower.hpp"
#include "executor/remove_tree.hpp"
#include "executor/shell_channel.hpp"
#include "sandbox/cgroup.hpp"
#include "sandbox/process.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_progress_line = 64 << 10;

ProcessSpec executor_spec(const char* mode, const StateDirectory& state, const std::string& id) {
  ProcessSpec spec;
  spec.argv = {"/proc/self/exe", "job-executor", mode, state.root, id};
  spec.environment = tool_environment();
  spec.stderr_fd = STDERR_FILENO;
  // The executor ends by itself when the channel closes, after it has kept the job's changes.
  spec.lifetime = Lifetime::independent;
  return spec;
}

/// Reads progress lines until the executor closes its end; returns how many there were.
asio::awaitable<std::uint64_t> read_progress(asio::posix::stream_descriptor& channel,
                                             const ExecutorEvents& events) {
  std::string buffer;
  for (std::uint64_t lines = 0;; ++lines) {
    boost::system::error_code error;
    const std::size_t length =
        co_await asio::async_read_until(channel, asio::dynamic_buffer(buffer, max_progress_line),
                                        '\n', asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return lines;
    const auto progress =
        nlohmann::json::parse(std::string_view(buffer).substr(0, length), nullptr, false);
    buffer.erase(0, length);
    if (progress.is_object() && events.on_progress) events.on_progress(progress);
  }
}

void send_request(int fd, ChannelRequest request) {
  const char byte = static_cast<char>(request);
  [[maybe_unused]] const auto sent = ::send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// Runs `job-executor salvage`; the lock goes with it.
asio::awaitable<Result<void>> salvage(const StateDirectory& state, const JobDirectory& job,
                                      Descriptor lock) {
  // The lock is free a moment before the last process of a killed executor is gone.
  FR_CO_CHECK(kill_cgroup(host_cgroup_hierarchies(), job.id(), std::chrono::seconds(10)));
  const auto executor = co_await asio::this_coro::executor;
  FR_CO_TRY(auto channel, make_channel());
  ProcessSpec spec = executor_spec("salvage", state, job.id());
  spec.extra_fds = {{channel.second.get(), channel_fd}, {lock.get(), lock_fd}};
  FR_CO_TRY(Process process, Process::spawn(executor, spec));
  FR_CO_TRY(const ExitStatus status, co_await process.wait());
  if (status.success()) co_return Result<void>();
  co_return Error{
      ErrorCode::internal,
      "job " + job.id() + " could not be salvaged; its files are in " + job.path().string()};
}

/// Takes the lock of a job that has no result, if its executor is dead.
Result<std::optional<Descriptor>> lock_if_dead(const JobDirectory& job) {
  if (::access(job.result_file().c_str(), F_OK) == 0) return std::optional<Descriptor>();
  FR_TRY(auto lock, job.try_lock());
  // It may have finished between the two looks.
  if (lock && ::access(job.result_file().c_str(), F_OK) == 0) lock.reset();
  return lock;
}

/// Removes what a finished job had put aside when it died.
void finish_clean_up(const JobDirectory& job) {
  if (::access(job.result_file().c_str(), F_OK) != 0 || ::access(job.removing().c_str(), F_OK) != 0)
    return;
  const auto lock = job.try_lock();
  if (!lock || !*lock) return;
  // What cannot be removed now is tried again by the next command.
  (void)remove_tree(job.removing());
  (void)remove_tree(job.quarantine());
}

}  // namespace

asio::awaitable<Result<JobResult>> run_executor(const StateDirectory& state, const Job& job,
                                                const RunOptions& options,
                                                Cancellation& cancellation, ExecutorEvents events) {
  using namespace asio::experimental::awaitable_operators;
  const auto executor = co_await asio::this_coro::executor;
  FR_CO_TRY(auto created, JobDirectory::create(state, job));
  auto& [directory, lock] = created;
  FR_CO_TRY(auto channel, make_channel());
  ProcessSpec spec = executor_spec("run", state, job.id);
  spec.extra_fds = {{channel.second.get(), channel_fd}, {lock.get(), lock_fd}};
  for (std::string& word : to_words(options)) spec.argv.push_back(std::move(word));
  std::pair<Descriptor, Descriptor> shell_socket;
  if (options.shell != ShellUse::none) {
    FR_CO_TRY(shell_socket, make_channel());
    spec.extra_fds.emplace_back(shell_socket.second.get(), shell_fd);
  }
  FR_CO_TRY(Process process, Process::spawn(executor, spec));
  shell_socket.second.close();
  channel.second.close();
  lock.close();

  {
    std::string json = to_json(job, Secrets::include).dump();
    const auto sent = send_job(channel.first.get(), json);
    explicit_bzero(json.data(), json.size());
    if (!sent) co_return sent.error();
  }
  asio::posix::stream_descriptor stream(executor, channel.first.release());
  const auto on_request = cancellation.on_request(
      [&](StopCause) { send_request(stream.native_handle(), ChannelRequest::cancel); });
  const auto on_kill = cancellation.on_kill(
      [&](StopCause) { send_request(stream.native_handle(), ChannelRequest::kill); });

  const auto follow = [&]() -> asio::awaitable<Result<FollowOffsets>> {
    // Named, not a temporary: g++ 12 destroys an aggregate within a co_await expression twice.
    FollowEvents followed_events{events.on_log, events.on_journal};
    co_return co_await follow_job(directory, {}, std::move(followed_events));
  };
  // Not void: Boost 1.81 cannot join that to a tuple.
  const auto shell = [&]() -> asio::awaitable<bool> {
    if (shell_socket.first && events.shell) co_await events.shell(std::move(shell_socket.first));
    co_return true;
  };
  auto [followed, ended, lines, shell_ended] =
      co_await (follow() && process.wait() && read_progress(stream, events) && shell());
  if (!followed) co_return followed.error();
  if (!ended) co_return ended.error();

  FR_CO_TRY(auto dead, lock_if_dead(directory));
  if (dead) FR_CO_CHECK(co_await salvage(state, directory, std::move(*dead)));
  FR_CO_TRY(auto result, directory.read_result());
  if (!result)
    co_return Error{
        ErrorCode::internal,
        "job " + job.id + " ended without a result; its files are in " + directory.path().string()};
  co_return std::move(*result);
}

asio::awaitable<Result<std::vector<std::string>>> salvage_dead_jobs(const StateDirectory& state,
                                                                    Cancellation& cancellation) {
  std::vector<std::string> salvaged;
  FR_CO_TRY(const auto jobs, list_jobs(state));
  std::optional<Error> first_failure;
  for (const auto& job : jobs) {
    if (cancellation.requested()) break;
    finish_clean_up(job);
    auto lock = lock_if_dead(job);
    if (!lock || !*lock) continue;
    if (const auto done = co_await salvage(state, job, std::move(**lock)); done)
      salvaged.push_back(job.id());
    else if (!first_failure)
      first_failure = done.error();
  }
  // A group is some living job's if that job's lock is held. Other state folders have jobs too:
  // their groups are not ours to judge unless they are empty, and rmdir takes only those.
  if (!salvaged.empty())
    sweep_cgroups(host_cgroup_hierarchies(), [&](const std::string& name) {
      const JobDirectory job(state.jobs() / name);
      const auto lock = job.try_lock();
      return !lock || !*lock;
    });
  if (first_failure) co_return *first_failure;
  co_return salvaged;
}

}  // namespace flow_runner
