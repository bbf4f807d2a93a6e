// Job: everything one run of a flow needs, whoever asked for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/flow.hpp"
#include "config/network_policy.hpp"
#include "config/secret.hpp"

namespace flow_runner {

/// One variable as the job carries it (GitLab's payload attributes).
struct Variable {
  std::string name;
  Secret value;
  bool masked = false;  ///< marked masked by its owner, or read from a secret provider
  bool file = false;    ///< reaches the script as the path of a file with this content
  bool raw = true;      ///< no expansion of $NAME in the value
  std::string origin;  ///< where it came from, for `--plan`: "flow job", "--var", "environment", …
};

/// Where the job's repository is and which commit the job starts from.
struct RepositorySpec {
  std::string url;             ///< https://…, http://… (no userinfo), or an absolute local path
  std::string ref;             ///< branch, tag, full ref or commit; empty: the remote's HEAD
  std::string project_path;    ///< group/project; `local/<folder>` without an origin
  std::string default_branch;  ///< empty: ask the remote
  bool include_work_tree = false;  ///< local path: start from HEAD plus tracked and untracked files
  /// `ref` is a commit that an earlier job made of uncommitted files: only the mirror has it, and
  /// what builds on it must not be published without the person's word.
  bool captured_start = false;
  std::string username = "gitlab-ci-token";
  Secret token;            ///< empty: anonymous
  std::string token_name;  ///< the variable that the token came from; empty: none
  int depth = 0;           ///< 0: full history
};

enum class PublishMode {
  none,    ///< dry run: nothing leaves the host, the changes are kept
  remote,  ///< push to `url`
  local,   ///< create the branch in the local repository `url`
};

/// Where changes go and what may go there.
struct PublishSpec {
  PublishMode mode = PublishMode::none;
  std::string url;           ///< empty: the repository's
  std::string workload_ref;  ///< CI_WORKLOAD_REF: a branch name or a full refs/…
  std::vector<std::string> allow_refs = {"workloads/*", "refs/workloads/*", "duo/*", "feature/*"};
  std::vector<std::string> protected_paths = {".gitlab-ci.yml", ".gitlab/**", "**/CODEOWNERS",
                                              ".gitmodules"};
  bool skip_pipelines = true;  ///< push option ci.skip
  std::string author = "flow-runner <flow-runner@localhost>";
  std::string committer = "flow-runner <flow-runner@localhost>";
  std::string message = "Changes by {agent}";
};

/// Limits with the defaults of the configuration page.
struct JobLimits {
  std::chrono::milliseconds timeout = std::chrono::hours(2);
  std::chrono::milliseconds grace = std::chrono::seconds(10);  ///< between TERM and KILL
  std::chrono::milliseconds pull_timeout = std::chrono::minutes(15);
  std::uint64_t memory_bytes = 4ULL << 30;
  double cpus = 0;  ///< cores; 0: unlimited
  std::uint64_t pids = 2048;
  std::uint64_t tmp_bytes = 1ULL << 30;
  std::uint64_t log_bytes = 64ULL << 20;
  /// What the job may write to disk: workspace and the container's root together. 0: unlimited.
  std::uint64_t disk_bytes = 10ULL << 30;
  /// A job that has written much is ended when the state folder's file system has less than this
  /// left, so that results and bundles still fit. 0: not watched.
  std::uint64_t free_space_floor = 1ULL << 30;
};

/// A flow job. Crosses from the client to the executor over a socket, secrets included; on disk
/// only without them (`to_json` with Secrets::omit).
struct Job {
  std::string id;       ///< [0-9a-z-]{1,64}; names the job directory
  std::string source;   ///< "exec", later the configured source's name
  std::string job_url;  ///< empty: none
  std::chrono::system_clock::time_point queued_at;
  Flow flow;
  RepositorySpec repository;
  PublishSpec publish;
  std::vector<Variable> variables;  ///< later duplicates win
  JobLimits limits;
  NetworkMode network = NetworkMode::none;
  /// Names of the isolation layers without which the job must not run; "all" stands for every one.
  std::vector<std::string> required_layers = {"all"};
  NetworkPolicy network_policy;              ///< counts in NetworkMode::proxy only
  std::optional<PullPolicy> pull_policy;     ///< overrides the flow's
  std::filesystem::path ca_file;             ///< empty: the system's CAs only
  std::filesystem::path registry_auth_file;  ///< empty: podman's usual places
  std::vector<std::string> masking_also;
  std::vector<std::string> masking_never;
};

/// Applies what a flow asks for itself under x-flow-runner: it can only narrow what the job was
/// given.
void narrow(Job& job, const FlowExtensions& asked);

/// The part of narrow() that is about the network, for when a job's variables are known later than
/// its limits. In proxy mode the flow's list becomes `narrowed_to`; a job that was given the host's
/// network and whose flow asks for the proxy may reach what the flow's list names, and no more. The
/// preset `registries` means what the job was given as such. Doing it twice changes nothing.
void narrow_network(Job& job, const FlowExtensions& asked);

}  // namespace flow_runner
