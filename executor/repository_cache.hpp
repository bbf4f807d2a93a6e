// RepositoryCache: bare mirrors and read-only snapshots of repositories, shared by all jobs of a
// host.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/git_output.hpp"
#include "executor/git_protocol.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// Keeps a mirror and the snapshots in use from being evicted, by shared flocks, for as long as it
/// lives.
class RepositoryLease {
 public:
  RepositoryLease() = default;
  explicit RepositoryLease(std::vector<Descriptor> locks) : locks_(std::move(locks)) {}
  [[nodiscard]] bool held() const noexcept { return !locks_.empty(); }

 private:
  std::vector<Descriptor> locks_;
};

/// A repository ready for a workspace. All commits named here, with the history that the job asked
/// for, are in the mirror.
struct PreparedRepository {
  std::filesystem::path mirror;  ///< bare repository; only its objects/ may be shown to a job
  std::string commit;            ///< what the job starts from (the captured one, if captured)
  std::string url;               ///< normalised; no user name
  std::string project_path;
  std::string default_branch;              ///< short name; empty: the remote's HEAD names none
  std::optional<std::string> default_tip;  ///< its commit, if the branch exists
  std::optional<std::string>
      workload_tip;  ///< commit of the workload ref; absent: the remote has none
  std::vector<std::filesystem::path> layers;  ///< checkouts, bottom first: {full} or {full, delta}
  SnapshotInfo snapshot;                      ///< of the topmost layer
  std::optional<CaptureInfo> capture;         ///< present with include_work_tree
  bool shallow = false;                       ///< `<mirror>/shallow` holds the history's boundary
  bool fetched = false;  ///< something came from the remote beyond the access check
  RepositoryLease lease;
};

/// How prepare() does its work.
struct RepositoryOptions {
  std::filesystem::path git_worker;  ///< the program flow-runner-git
  std::filesystem::path ca_file;     ///< CAs trusted beside the system's; empty: none
  std::function<void(std::string_view)> on_progress;  ///< a line at a time; must not block
  Sanitizer sanitize;                                 ///< the masker, for what a server said
  std::chrono::milliseconds deadline{std::chrono::minutes(30)};  ///< of the whole preparation
};

/// What evict() removed.
struct EvictionReport {
  std::uint64_t snapshots = 0;
  std::uint64_t mirrors = 0;
  std::uint64_t leftovers = 0;  ///< half-made folders of crashed processes
  std::uint64_t bytes_kept = 0;
};

/// Layout, below <state>/repositories/: one folder per source and repository, `<slug>-<16 hex>`,
/// with `mirror/`, `fetch.lock` (exclusive while the mirror or a snapshot is being written) and
/// `snapshots/<commit>/`. A shared flock on a snapshot's folder, or on the repository's, means in
/// use. Any number of processes may use one cache.
class RepositoryCache {
 public:
  explicit RepositoryCache(std::filesystem::path root) : root_(std::move(root)) {}

  /// Checks the job's right to read the repository at the remote, always; fetches what is missing;
  /// makes the snapshot unless it is there. `workload_ref` is a full ref, or empty. not_found: no
  /// such repository or ref; denied: the remote says so; a second job that needs the same mirror
  /// waits.
  asio::awaitable<Result<PreparedRepository>> prepare(const RepositorySpec& spec,
                                                      const std::string& workload_ref,
                                                      const std::string& source,
                                                      const RepositoryOptions& options,
                                                      Cancellation& cancellation);

  /// Removes snapshots that were last used more than `older_than` ago, then the least recently used
  /// ones until all snapshots together have at most max_bytes; a full one only after the deltas on
  /// it. What is in use stays. A mirror without snapshots goes when it is that old too. Blocking:
  /// for a sweeper.
  Result<EvictionReport> evict(std::chrono::seconds older_than, std::uint64_t max_bytes);

  /// The folder of one repository; readable, and unique by source and address.
  [[nodiscard]] std::filesystem::path folder(const std::string& source,
                                             const std::string& url) const;

 private:
  std::filesystem::path root_;
};

}  // namespace flow_runner
