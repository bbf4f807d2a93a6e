// RepositoryFolder: the files of one cached repository on disk, and the locks on them.
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
#include "executor/git_protocol.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

namespace asio = boost::asio;

enum class LockMode { shared, exclusive };

/// A lock on a file or folder that is not there (any more).
enum class LockOutcome { held, busy, absent };
struct LockAttempt {
  LockOutcome outcome = LockOutcome::absent;
  Descriptor lock;
};

/// Tries flock(2) on `path` once. `held` is only said when `path` still names what was locked, so
/// that whoever removes a folder may rename it away under its exclusive lock.
Result<LockAttempt> try_lock(const std::filesystem::path& path, LockMode mode);

/// Repeats try_lock() until it is held or absent (then without a descriptor). flock(2) could only
/// wait in a thread that nobody can interrupt; asking every 20 to 250 ms can be cancelled and has a
/// deadline. on_wait is called once, before the first wait.
asio::awaitable<Result<std::optional<Descriptor>>> lock_path(
    std::filesystem::path path, LockMode mode, std::chrono::steady_clock::time_point deadline,
    Cancellation& cancellation, std::function<void()> on_wait);

/// What the names of half-made and half-removed folders contain.
inline constexpr std::string_view temporary_mark = ".tmp-";

/// A name beside `path` that nobody uses, for what is put away to be removed.
std::filesystem::path name_aside(const std::filesystem::path& path);

/// One complete snapshot.
struct StoredSnapshot {
  std::filesystem::path path;
  SnapshotInfo info;
  std::filesystem::file_time_type last_use;
};

/// Paths are fixed; see RepositoryCache for the layout.
class RepositoryFolder {
 public:
  explicit RepositoryFolder(std::filesystem::path path) : path_(std::move(path)) {}

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path mirror() const { return path_ / "mirror"; }
  [[nodiscard]] std::filesystem::path fetch_lock() const { return path_ / "fetch.lock"; }
  [[nodiscard]] std::filesystem::path snapshots() const { return path_ / "snapshots"; }
  [[nodiscard]] std::filesystem::path snapshot(const std::string& commit) const {
    return snapshots() / commit;
  }

  /// Makes what is missing, an empty bare mirror included; needs the shared lock on path().
  [[nodiscard]] Result<void> create() const;

  /// Whether the mirror has the commit with `depth` commits of history at least (0: all of it).
  [[nodiscard]] bool has_history(const std::string& commit, int depth) const;
  /// The ref that keeps such a history, and by whose presence has_history() knows.
  [[nodiscard]] static std::string history_ref(const std::string& commit, int depth);
  /// The largest depth that was ever fetched; 0: none but full histories.
  [[nodiscard]] int deepest() const;
  [[nodiscard]] bool shallow() const;

  /// Keeps a snapshot's commit alive in the mirror, or no longer.
  [[nodiscard]] Result<void> keep(const std::string& commit) const;
  void forget(const std::string& commit) const;
  [[nodiscard]] bool keeps(const std::string& commit) const;

  /// Absent: there is none, or a half-made one.
  [[nodiscard]] Result<std::optional<SnapshotInfo>> read_snapshot(const std::string& commit) const;
  /// All complete ones, most recently used first.
  [[nodiscard]] Result<std::vector<StoredSnapshot>> list_snapshots() const;

 private:
  std::filesystem::path path_;
};

}  // namespace flow_runner
