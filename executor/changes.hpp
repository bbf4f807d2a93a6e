// Changes: what happens to a job's work after its script: taken over, checked, published or kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/content_scan.hpp"
#include "executor/git_protocol.hpp"
#include "executor/job_directory.hpp"
#include "executor/masker.hpp"
#include "executor/publication.hpp"
#include "executor/workspace.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// What a later process needs to take over a workspace: the journal's `workspace` entry.
struct WorkspaceRecord {
  std::filesystem::path mirror;
  std::string base;                                    ///< commit that the job started from
  std::vector<std::filesystem::path> snapshot_layers;  ///< bottom first
  std::uint32_t owner_uid = 0;                         ///< host ids of the job's user
  std::uint32_t owner_gid = 0;
  std::string ref;                              ///< full workload ref; names the bundle's tip
  WorkspaceKind kind = WorkspaceKind::overlay;  ///< absent in JSON of older releases: overlay
};
nlohmann::json to_json(const WorkspaceRecord& record);
Result<WorkspaceRecord> workspace_record_from_json(const nlohmann::json& json);

/// What taking over needs besides the record. Everything outlives the call.
struct ChangesContext {
  const JobDirectory& directory;
  const WorkspaceRecord& record;
  const Job& job;  ///< without secrets when salvaging
  std::shared_ptr<const MaskerPatterns> patterns;
  std::filesystem::path git_worker;
  std::filesystem::path merged;     ///< the mounted workspace
  std::filesystem::path upper;      ///< of an overlay
  std::filesystem::path copy_mark;  ///< of a copy
};

struct TakenOver {
  ChangeSet changes;
  /// Why these changes must not be published; empty: they may.
  std::string refusal;
};

/// Runs the take-over worker and every check on what it found: repository readable, secrets,
/// protected paths, LFS. Paths in the answer are masked.
asio::awaitable<Result<TakenOver>> take_over_changes(const ChangesContext& context,
                                                     Cancellation& cancellation);

/// Writes changes.bundle; absent: nothing lies beyond the base.
asio::awaitable<Result<std::optional<BundleInfo>>> keep_bundle(const ChangesContext& context,
                                                               const ChangeSet& changes,
                                                               Cancellation& cancellation);

/// Writes changes.patch (masked, git's format): what a dry run shows.
asio::awaitable<Result<void>> keep_patch(const ChangesContext& context, const ChangeSet& changes,
                                         Cancellation& cancellation);

/// The message of the commit that holds what an agent left uncommitted, with the job's trailer.
/// Masked.
std::string commit_message(const Job& job, const MaskerPatterns& patterns);

}  // namespace flow_runner
