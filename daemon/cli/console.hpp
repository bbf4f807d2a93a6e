// Console: how commands say things, end, and listen to Ctrl-C.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "executor/job_directory.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner::cli {

/// Exit codes beyond exit_code_for(JobResult).
inline constexpr int exit_success = 0, exit_failed = 1, exit_system = 2, exit_usage = 64,
                     exit_canceled = 130;

/// What the caller can mend is wrong use (64), the rest the system's failure (2) or cancelled
/// (130).
int exit_code_for(const Error& error) noexcept;

/// Writes everything, or gives up silently: nobody reads any more.
void print(int fd, std::string_view text);
/// `flow-runner: message` on stderr, without control characters; returns exit_code_for(error).
int print_error(const Error& error);
/// A file to stdout; on a terminal through TerminalText.
Result<void> print_file(const std::filesystem::path& file);

/// Runs a command's coroutine on a loop of its own. The first INT, TERM or HUP requests
/// cancellation, the second kills; `on_signal` hears of each (1, 2, …) and may be empty.
int run_interruptible(
    const std::function<boost::asio::awaitable<int>(Cancellation& cancellation)>& work,
    const std::function<void(int count)>& on_signal);

/// Opens the named state folder, or the default one.
Result<StateDirectory> open_state(const std::string& option);

/// The job of which `word` is the id or the beginning of exactly one id. Candidates are named.
Result<JobDirectory> find_job(const StateDirectory& state, std::string_view word);

}  // namespace flow_runner::cli
