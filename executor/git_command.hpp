// GitCommand: the one place that starts the `git` program, so set up that no configuration of the
// host or of a repository can make it run code.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "executor/credential.hpp"
#include "executor/git_output.hpp"
#include "executor/remote_url.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/process.hpp"

namespace flow_runner {

/// What all git calls of one job share.
struct GitContext {
  std::filesystem::path ca_file;  ///< CAs trusted beside the system's; empty: the system's only
  Sanitizer sanitize;  ///< applied before a text of git's reaches a message or on_progress
  std::function<void(std::string_view)> on_progress;  ///< one printable line; must not block
};

/// One run of git.
struct GitCommand {
  std::vector<std::string> arguments;      ///< verb first
  std::filesystem::path git_dir;           ///< empty: no repository, and none is looked for
  std::filesystem::path object_directory;  ///< empty: the repository's own
  std::optional<RemoteUrl> remote;         ///< the only remote, and protocol, that git may use
  Credential credential;                   ///< for `remote`; an empty token: anonymous
  std::string input;                       ///< stdin
  std::chrono::milliseconds deadline{std::chrono::minutes(1)};
  std::size_t max_output = 4 << 20;  ///< of stdout and stderr each, in bytes
};

/// The git folder of a work tree's or bare repository's folder; a `.git` file is followed.
std::filesystem::path local_git_folder(const std::filesystem::path& folder);

/// "git fetch from https://host/group/project.git": for messages.
std::string describe(const GitCommand& command);

/// Runs git. Its environment is tool_environment() without HOME (a .netrc there would stand in for
/// the job's own token) and variables of ours: no system or user configuration, no prompt, hook or
/// lazy fetch, no protocol but the remote's. A non-zero exit is not an Error (see git_failure); a
/// start that fails, the deadline and a cancellation are.
asio::awaitable<Result<RunOutput>> run_git(GitCommand command, const GitContext& context,
                                           Cancellation& cancellation);

/// run_git() with a non-zero exit as git_failure(); returns stdout.
asio::awaitable<Result<std::string>> run_git_checked(GitCommand command, const GitContext& context,
                                                     Cancellation& cancellation);

/// Asks the remote for HEAD and the named full refs: also the check that the credential may read
/// there.
asio::awaitable<Result<RemoteRefs>> list_remote(RemoteUrl remote, Credential credential,
                                                std::vector<std::string> names,
                                                const GitContext& context,
                                                Cancellation& cancellation,
                                                std::chrono::milliseconds deadline);

}  // namespace flow_runner
