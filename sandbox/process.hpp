// Process: a child program in a process group of its own, waited for by pidfd without blocking the
// loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// What becomes of a child whose parent dies.
enum class Lifetime {
  with_parent,  ///< SIGKILL by the kernel when the spawning thread dies
  independent,
};

/// What to start. The environment is exactly `environment`: nothing is inherited.
struct ProcessSpec {
  std::vector<std::string> argv;  ///< argv[0] is looked up in the caller's PATH unless it has a '/'
  std::vector<std::string> environment;     ///< NAME=value
  std::filesystem::path working_directory;  ///< empty: the caller's
  int stdin_fd = -1;                        ///< -1: /dev/null; borrowed
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::vector<std::pair<int, int>> extra_fds;  ///< {ours, number in the child}; borrowed
  std::vector<std::filesystem::path>
      cgroup_procs;  ///< cgroup.procs files the child joins before exec
  Lifetime lifetime = Lifetime::with_parent;
  std::vector<std::pair<int, std::uint64_t>> resource_limits;  ///< {RLIMIT_…, soft and hard limit}
  int user_namespace = -1;  ///< joined as its root, with a new mount namespace; borrowed
};

/// How a child ended.
struct ExitStatus {
  int code = 0;    ///< exit code; 128 + signal when killed by one
  int signal = 0;  ///< 0: exited by itself
  [[nodiscard]] bool success() const noexcept { return code == 0 && signal == 0; }
};

/// A running child. It leads its own process group, has default signal dispositions and an empty
/// mask. Destroying a Process that still runs kills its group (unless it is independent).
class Process {
 public:
  static Result<Process> spawn(asio::any_io_executor executor, const ProcessSpec& spec);
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  [[nodiscard]] int pid() const noexcept;
  /// Waits for the end; may be awaited once. Does not stop the child when the coroutine is dropped.
  asio::awaitable<Result<ExitStatus>> wait();
  /// Signals the whole group; no effect after the end.
  void signal_group(int signal) noexcept;

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Bounds of a run to completion.
struct RunLimits {
  std::chrono::milliseconds deadline{std::chrono::minutes(1)};
  std::chrono::milliseconds grace{std::chrono::seconds(2)};  ///< between TERM and KILL
  std::size_t max_output = 1 << 20;  ///< of stdout and stderr each; the rest of stdout is an error,
                                     ///< of stderr is dropped
};

struct RunOutput {
  ExitStatus status;
  std::string stdout_text;
  std::string stderr_text;
};

/// Called with each piece of stderr as it comes (progress). Must not block.
using OutputCallback = std::function<void(std::string_view)>;

/// Spawns, collects stdout and stderr, waits. A deadline (timed_out) or the job's cancellation
/// (cancelled) ends the group by TERM, grace, KILL. A non-zero exit is not an Error: see `status`.
asio::awaitable<Result<RunOutput>> run_process(ProcessSpec spec, RunLimits limits,
                                               Cancellation& cancellation,
                                               OutputCallback on_stderr = {});

/// The environment that host tools get: PATH, HOME, LANG=C.UTF-8, TMPDIR and the proxy variables of
/// ours.
std::vector<std::string> tool_environment();

}  // namespace flow_runner
