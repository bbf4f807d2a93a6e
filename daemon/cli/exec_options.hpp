// ExecOptions: what a person typed after `flow-runner exec`, checked as far as words alone allow.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/flow.hpp"
#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/run_options.hpp"

namespace CLI {
class App;
}

namespace flow_runner::cli {

/// The words as typed; the command line parser writes here.
struct ExecArguments {
  std::string flow, repo, ref, workload_ref, event, git_token_from, image, pull, network, memory,
      cpus, pids, disk, timeout, ca_file, state_dir, sandbox_require, from_job;
  std::optional<std::string> input, input_file, context, context_file;
  std::vector<std::string> vars, secrets, network_allow, network_deny;
  bool push = false, push_local = false, include_uncommitted = false, with_git_token = false,
       plan = false, json = false, keep = false, shell = false, shell_on_failure = false;
  int verbose = 0;
};

/// Where a text comes from: given, from a file (`-`: standard input), or nothing.
struct TextSource {
  std::optional<std::string> text;
  std::string file;
};

/// A secret's name and the file that holds it; no file: the environment.
struct SecretSource {
  std::string name;
  std::filesystem::path file;
};

enum class DirtyTree { refused, included };  ///< what to do with uncommitted files
enum class GitToken { withheld, injected };  ///< whether the script of a dry run sees the token

struct ExecOptions {
  std::string flow;  ///< empty: the only one of the repository
  std::string repo;  ///< folder or address; empty: the current folder's repository
  std::string ref, workload_ref;
  TextSource input, context;
  std::string event = "mention";
  bool event_given = false;
  std::vector<std::pair<std::string, std::string>> variables;
  std::vector<SecretSource> secrets;
  std::string git_token_from;
  std::string image;
  std::optional<PullPolicy> pull;
  NetworkMode network = NetworkMode::proxy;
  bool network_given = false;
  std::vector<std::string> network_allow;  ///< checked entries and names of presets
  std::vector<NetworkRule> network_deny;
  ResourceLimits limits;
  std::vector<std::string> required_layers = {"all"};
  std::optional<std::chrono::milliseconds> timeout;
  std::filesystem::path ca_file, state_dir;
  PublishMode publish = PublishMode::none;
  DirtyTree dirty = DirtyTree::refused;
  GitToken git_token = GitToken::withheld;
  KeepWorkspace keep = KeepWorkspace::no;
  ShellUse shell = ShellUse::none;
  std::string from_job;  ///< an id or a job folder; empty: none
  /// What adopt() took from it beside what it could fill in above; ours come later.
  bool captured_start = false;
  std::vector<Variable> earlier_variables;
  std::vector<NetworkRule> earlier_allow, earlier_deny;
};

/// Lower-case letters, digits and `_`.
bool is_event_name(std::string_view name) noexcept;

/// Declares the options; `arguments` must outlive `app`.
void add_exec_options(CLI::App& app, ExecArguments& arguments);

/// Checks and reads the words: invalid_input names the option and the cure, and never repeats what
/// could be a secret's value.
Result<ExecOptions> read_exec_options(const ExecArguments& arguments);

/// The layers that a host may lack, as --sandbox-require names them; every other is there or the
/// job is refused, whatever is named.
Result<std::vector<std::string>> read_required_layers(const std::string& words);

/// Reads `NAME` or `NAME=@FILE`; anything else after `=` is refused without being repeated.
Result<SecretSource> read_secret_option(const std::string& word);

}  // namespace flow_runner::cli
