// The commands that work on finished jobs in the state folder, without a daemon.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace flow_runner::cli {

struct ListArguments {
  std::string state_dir;
};
/// One line per job, newest first.
int list_command(const ListArguments& arguments);

struct ShowArguments {
  std::string id, state_dir;
  bool diff = false, json = false;
};
/// What a job did: in words, as JSON, or its diff.
int show_command(const ShowArguments& arguments);

struct ApplyArguments {
  std::string id, state_dir, repo;
};
/// Brings a job's kept changes into the files of a work tree, all or nothing; HEAD and index stay.
int apply_command(const ApplyArguments& arguments);

struct PublishArguments {
  std::string id, state_dir, to, workload_ref, git_token_from, ca_file;
  std::vector<std::string> secrets;
  bool override_guard = false, include_uncommitted = false;
};
/// Pushes a job's kept changes. What the guard has refused, or could not look at, needs the
/// person's explicit word; the default branch is never a target.
int publish_command(const PublishArguments& arguments);

struct PruneArguments {
  std::string state_dir, older_than;
  std::string workspace;     ///< an id: only that job's kept workspace is removed
  bool unpublished = false;  ///< older_than counts for jobs with unpublished changes too
};
/// Removes old finished jobs, cached repositories' snapshots, and what crashes left behind.
int prune_command(const PruneArguments& arguments);

}  // namespace flow_runner::cli
