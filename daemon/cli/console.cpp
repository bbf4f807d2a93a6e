#include "daemon/cli/console.hpp"

#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <signal.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "daemon/cli/terminal_text.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;

namespace {

constexpr std::size_t chunk_bytes = 64 << 10;
constexpr std::size_t max_candidates = 5;

// Waits for one signal after the other for as long as the set lives.
void listen(asio::signal_set& signals, Cancellation& cancellation,
            const std::function<void(int)>& on_signal, int count) {
  signals.async_wait(
      [&signals, &cancellation, &on_signal, count](const boost::system::error_code& error, int) {
        if (error) return;
        if (count == 1)
          cancellation.request(StopCause::canceled);
        else
          cancellation.kill_now();
        if (on_signal) on_signal(count);
        listen(signals, cancellation, on_signal, count + 1);
      });
}

}  // namespace

int exit_code_for(const Error& error) noexcept {
  switch (error.code) {
    case ErrorCode::invalid_input:
    case ErrorCode::not_found:
    case ErrorCode::denied:
      return exit_usage;
    case ErrorCode::cancelled:
      return exit_canceled;
    case ErrorCode::unavailable:
    case ErrorCode::timed_out:
    case ErrorCode::internal:
      return exit_system;
  }
  return exit_system;
}

void print(int fd, std::string_view text) {
  [[maybe_unused]] const auto written = write_all(fd, text);
}

int print_error(const Error& error) {
  print(STDERR_FILENO,
        "flow-runner: " + terminal_text(error.message, TerminalColours::removed) + "\n");
  return exit_code_for(error);
}

Result<void> print_file(const std::filesystem::path& file) {
  FR_TRY(const Descriptor input, open_file(file, O_RDONLY | O_NOFOLLOW));
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  TerminalText filter(TerminalColours::removed);
  std::string buffer(chunk_bytes, '\0');
  while (true) {
    const ssize_t count = ::read(input.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error("cannot read " + file.string());
    std::string_view piece(buffer.data(), static_cast<std::size_t>(count));
    std::string shown;
    if (terminal) {
      filter.write(piece, shown);
      if (count == 0) filter.flush(shown);
      piece = shown;
    }
    // A reader that has seen enough (`| head`) is no failure.
    if (!write_all(STDOUT_FILENO, piece) || count == 0) return {};
  }
}

int run_interruptible(const std::function<asio::awaitable<int>(Cancellation&)>& work,
                      const std::function<void(int)>& on_signal) {
  ::signal(SIGPIPE, SIG_IGN);
  asio::io_context loop(1);
  Cancellation cancellation;
  asio::signal_set signals(loop, SIGINT, SIGTERM, SIGHUP);
  listen(signals, cancellation, on_signal, 1);
  int code = exit_system;
  std::exception_ptr escaped;
  asio::co_spawn(loop, work(cancellation), [&](std::exception_ptr exception, int result) {
    escaped = exception;
    code = result;
    signals.cancel();
  });
  loop.run();
  if (escaped) std::rethrow_exception(escaped);
  return code;
}

Result<StateDirectory> open_state(const std::string& option) {
  if (option.empty()) return StateDirectory::open(default_state_directory());
  std::error_code error;
  const auto folder = std::filesystem::absolute(option, error);
  if (error) return Error{ErrorCode::invalid_input, "--state-dir: " + error.message()};
  return StateDirectory::open(folder);
}

Result<JobDirectory> find_job(const StateDirectory& state, std::string_view word) {
  FR_TRY(const std::vector<JobDirectory> jobs, list_jobs(state));
  std::vector<JobDirectory> found;
  for (const JobDirectory& job : jobs) {
    if (job.id() == word) return job;
    if (!word.empty() && job.id().starts_with(word)) found.push_back(job);
  }
  if (found.size() == 1) return found.front();
  const std::string shown(word.substr(0, 64));
  if (found.empty())
    return Error{ErrorCode::not_found, "there is no job " + shown + " in " + state.root.string() +
                                           ": `flow-runner list` shows them (and --state-dir "
                                           "another place)"};
  std::string names;
  for (std::size_t i = 0; i < found.size() && i < max_candidates; ++i)
    names += (i == 0 ? "" : ", ") + found[i].id();
  if (found.size() > max_candidates) names += ", …";
  return Error{ErrorCode::invalid_input,
               shown + " could be " + std::to_string(found.size()) + " jobs: " + names};
}

}  // namespace flow_runner::cli
