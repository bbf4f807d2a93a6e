#include "executor/git_worker.hpp"

#include <array>
#include <cstdlib>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "executor/git_answer.hpp"
#include "sandbox/alarm.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/process.hpp"

namespace flow_runner {
namespace {

using boost::system::error_code;

constexpr std::size_t max_stderr_bytes = 4096;

asio::awaitable<void> read_answer(asio::posix::stream_descriptor& pipe, GitAnswer& answer,
                                  Process& process) {
  std::array<char, 1 << 16> buffer;
  while (true) {
    error_code error;
    const std::size_t count = co_await pipe.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    answer.write({buffer.data(), count});
    // It may be in any state: reading on would only keep it alive.
    if (answer.broken()) process.signal_group(SIGKILL);
  }
}

/// Keeps the end of what is said.
asio::awaitable<void> read_diagnostics(asio::posix::stream_descriptor& pipe, std::string& text) {
  std::array<char, 4096> buffer;
  while (true) {
    error_code error;
    const std::size_t count = co_await pipe.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    text.append(buffer.data(), count);
    if (text.size() <= max_stderr_bytes) continue;
    // Whole lines only: a part of a secret is one that no masker knows.
    text.erase(0, text.size() - max_stderr_bytes);
    const std::size_t newline = text.find('\n');
    text.erase(0, newline == text.npos ? text.npos : newline + 1);
  }
}

nlohmann::json with_verb(nlohmann::json request, const std::string& verb,
                         const GitWorkerLimits& limits) {
  request["verb"] = verb;
  request["limits"] = {{"memory_bytes", limits.memory_bytes},
                       {"cpu_seconds", limits.cpu_seconds},
                       {"file_bytes", limits.file_bytes},
                       {"open_files", limits.open_files}};
  return request;
}

// Where the user's own ignore rules are (capture).
std::vector<std::string> worker_environment() {
  auto environment = tool_environment();
  if (const char* value = std::getenv("XDG_CONFIG_HOME")) {
    environment.push_back(std::string("XDG_CONFIG_HOME=") + value);
  }
  return environment;
}

Error died(ExitStatus status, std::string_view diagnostics) {
  while (diagnostics.ends_with('\n')) diagnostics.remove_suffix(1);
  std::string message = "the git worker ended without an answer, ";
  message += status.signal != 0 ? "by signal " + std::to_string(status.signal)
                                : "with code " + std::to_string(status.code);
  if (!diagnostics.empty()) message += ": " + std::string(diagnostics);
  return {ErrorCode::internal, std::move(message)};
}

}  // namespace

std::filesystem::path git_worker_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "flow-runner-git";
}

asio::awaitable<Result<nlohmann::json>> run_git_worker(std::string verb, nlohmann::json request,
                                                       GitWorkerOptions options,
                                                       Cancellation& cancellation) {
  using namespace asio::experimental::awaitable_operators;
  if (cancellation.requested())
    co_return Error{ErrorCode::cancelled, "git " + verb + " was not started"};
  const auto executor = co_await asio::this_coro::executor;
  const std::string input = with_verb(std::move(request), verb, options.limits).dump();
  FR_CO_TRY(const Descriptor request_file, memory_file("git-request", input));
  FR_CO_TRY(Pipe out, make_pipe());
  FR_CO_TRY(Pipe err, make_pipe());
  ProcessSpec spec;
  spec.argv = {options.program.string()};
  spec.environment = worker_environment();
  spec.stdin_fd = request_file.get();
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
    grace.set(options.grace, [&] { process.signal_group(SIGKILL); });
  };
  const auto on_request = cancellation.on_request([&](StopCause) { terminate(); });
  const auto on_kill = cancellation.on_kill([&](StopCause) { process.signal_group(SIGKILL); });
  bool late = false;
  Alarm deadline(executor);
  deadline.set(options.deadline, [&] {
    late = true;
    terminate();
  });

  // Nobody but the worker should hold its pipes; if somebody does they get one more second.
  Alarm drain(executor);
  const auto wait_then_drain = [&]() -> asio::awaitable<Result<ExitStatus>> {
    auto status = co_await process.wait();
    drain.set(std::chrono::seconds(1), [&] {
      out_stream.close();
      err_stream.close();
    });
    co_return status;
  };

  GitAnswer answer(options.max_result_bytes, options.on_progress, options.content);
  std::string diagnostics;
  const auto status = co_await (wait_then_drain() && read_answer(out_stream, answer, process) &&
                                read_diagnostics(err_stream, diagnostics));
  if (!status) co_return status.error();
  // A result that was complete counts, whatever happened in the same moment.
  if (answer.ended() && !answer.broken()) co_return answer.finish();
  if (late) {
    co_return Error{ErrorCode::timed_out, "git " + verb + " did not end within " +
                                              std::to_string(options.deadline.count()) + " ms"};
  }
  if (cancellation.requested())
    co_return Error{ErrorCode::cancelled, "git " + verb + " was cancelled"};
  if (answer.broken()) co_return answer.finish();
  co_return died(*status, diagnostics);
}

}  // namespace flow_runner
