// Local publication: sets a branch in a repository on this machine, whose configuration is not
// trusted.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "executor/git_command.hpp"
#include "executor/push_report.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner {

/// Brings `commit` from the bare repository `from` into `repository` and sets `ref`, which stands
/// at `old_value` (absent: does not exist), to it in one step. Neither git's receive side nor any
/// hook runs; HEAD, index and work tree are not touched. accepted or moved; denied: the ref is
/// checked out in one of the work trees, or is a symbolic one. Repeating it is safe.
asio::awaitable<Result<PushReport>> set_local_ref(RemoteUrl repository, std::filesystem::path from,
                                                  std::string ref, std::string commit,
                                                  std::optional<std::string> old_value,
                                                  const GitContext& context,
                                                  Cancellation& cancellation,
                                                  std::chrono::milliseconds deadline);

}  // namespace flow_runner
