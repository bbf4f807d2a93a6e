// The client of the git worker: starts flow-runner-git for one request and reads its answer. No
// libgit2.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "config/result.hpp"
#include "executor/git_content_sink.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// The program flow-runner-git, beside the one that runs.
std::filesystem::path git_worker_program();

/// What the worker allows itself (setrlimit) before it opens anything; 0 leaves a limit as it is.
struct GitWorkerLimits {
  std::uint64_t memory_bytes = 0;  ///< RLIMIT_DATA: heap and private mappings, not mapped packs
  std::uint64_t cpu_seconds = 0;   ///< RLIMIT_CPU
  std::uint64_t file_bytes = 0;    ///< RLIMIT_FSIZE: the largest file it may write
  std::uint64_t open_files = 0;    ///< RLIMIT_NOFILE
};

struct GitWorkerOptions {
  std::filesystem::path program;  ///< flow-runner-git
  std::chrono::milliseconds deadline{std::chrono::minutes(10)};
  std::chrono::milliseconds grace{std::chrono::seconds(2)};  ///< between TERM and KILL
  GitWorkerLimits limits;
  std::size_t max_result_bytes = 64U << 20;  ///< the longest line of the answer
  /// Called on the coroutine's thread; must not block or throw.
  std::function<void(std::string_view text, std::uint64_t done, std::uint64_t total)> on_progress;
  /// Gets the answer's content (borrowed; outlives the call); nullptr drops it.
  ContentSink* content = nullptr;
};

/// Runs one request and returns the `result` event's object. The worker's own error comes back as
/// it is; a worker that dies, breaks the protocol or says nothing is `internal` with the end of its
/// stderr. The deadline (timed_out) and the job's cancellation (cancelled) end it by TERM, grace,
/// KILL. `request` is an object without "verb". Nothing the worker says is trusted: lines have a
/// maximum, content is passed on in pieces as it comes.
asio::awaitable<Result<nlohmann::json>> run_git_worker(std::string verb, nlohmann::json request,
                                                       GitWorkerOptions options,
                                                       Cancellation& cancellation);

}  // namespace flow_runner
