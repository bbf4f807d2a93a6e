#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <unistd.h>

#include "executor/git_output.hpp"
#include "executor/repository_cache.hpp"
#include "executor/repository_folder.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;
using fs::file_time_type;

struct Candidate {
  RepositoryFolder folder;
  StoredSnapshot snapshot;
};

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end;
       entry.increment(ignored))
    found.push_back(entry->path());
  return found;
}

/// Takes the path away under its exclusive lock, so that nobody who looks for it finds half of it,
/// then removes it. False: somebody uses it, or it has gone.
Result<bool> remove_unused(const fs::path& path, const std::function<bool()>& still_unwanted) {
  FR_TRY(const LockAttempt attempt, try_lock(path, LockMode::exclusive));
  if (attempt.outcome != LockOutcome::held || !still_unwanted()) return false;
  const auto aside = name_aside(path);
  if (::rename(path.c_str(), aside.c_str()) != 0)
    return errno_error("cannot put " + path.string() + " aside");
  std::error_code error;
  fs::remove_all(aside, error);
  if (error) return errno_error("cannot remove " + aside.string(), error.value());
  return true;
}

/// Half-made and half-removed folders; the caller holds the lock without which nobody makes any.
std::uint64_t remove_leftovers(const fs::path& folder) {
  std::uint64_t removed = 0;
  for (const auto& path : entries(folder)) {
    if (path.filename().string().find(temporary_mark) == std::string::npos) continue;
    std::error_code error;
    fs::remove_all(path, error);
    if (!error) ++removed;
  }
  return removed;
}

bool has_delta(const RepositoryFolder& folder, const std::string& base) {
  const auto snapshots = folder.list_snapshots();
  // What cannot be listed is kept.
  return !snapshots || std::any_of(snapshots->begin(), snapshots->end(), [&](const auto& snapshot) {
    return snapshot.info.base_commit == base;
  });
}

/// Refs that say "this history was fetched"; the next job that needs one fetches it again.
void forget_histories(const RepositoryFolder& folder, file_time_type limit) {
  for (const auto& depth : entries(folder.mirror() / "refs/flow-runner/history"))
    for (const auto& ref : entries(depth)) {
      std::error_code error;
      const auto time = fs::last_write_time(ref, error);
      if (!error && time < limit) fs::remove(ref, error);
    }
}

class Eviction {
 public:
  explicit Eviction(const fs::path& root) : root_(root) {}

  Result<EvictionReport> run(file_time_type limit, std::uint64_t max_bytes) {
    collect(limit);
    // A delta is younger than its base or as old, so that the oldest first alone would never free a
    // base.
    std::stable_sort(candidates_.begin(), candidates_.end(), [](const auto& a, const auto& b) {
      if (a.snapshot.info.base_commit.empty() != b.snapshot.info.base_commit.empty())
        return !a.snapshot.info.base_commit.empty();
      return a.snapshot.last_use < b.snapshot.last_use;
    });
    for (auto& candidate : candidates_)
      if (candidate.snapshot.last_use < limit) FR_CHECK(remove(candidate));
    std::stable_sort(candidates_.begin(), candidates_.end(), [](const auto& a, const auto& b) {
      return a.snapshot.last_use < b.snapshot.last_use;
    });
    // Two rounds: a base whose deltas were removed in the first can go in the second.
    for (int round = 0; round < 2; ++round)
      for (auto& candidate : candidates_)
        if (report_.bytes_kept > max_bytes) FR_CHECK(remove(candidate));
    for (const auto& folder : folders_) FR_CHECK(remove_mirror(folder, limit));
    return report_;
  }

 private:
  void collect(file_time_type limit) {
    report_.leftovers += remove_leftovers(root_);
    for (const auto& path : entries(root_)) {
      const RepositoryFolder folder(path);
      // A mirror is made under the folder's shared lock, a snapshot under the fetch lock.
      const auto folder_lock = try_lock(path, LockMode::exclusive);
      if (folder_lock && folder_lock->outcome == LockOutcome::held)
        report_.leftovers += remove_leftovers(path);
      const auto fetch_lock = try_lock(folder.fetch_lock(), LockMode::exclusive);
      if (fetch_lock && fetch_lock->outcome == LockOutcome::held) {
        report_.leftovers += remove_leftovers(folder.snapshots());
        forget_histories(folder, limit);
      }
      folders_.push_back(folder);
      auto snapshots = folder.list_snapshots();
      if (!snapshots) continue;
      for (auto& snapshot : *snapshots) {
        report_.bytes_kept += snapshot.info.bytes;
        candidates_.push_back({folder, std::move(snapshot)});
      }
    }
  }

  Result<void> remove(Candidate& candidate) {
    if (candidate.snapshot.path.empty()) return {};
    const auto& info = candidate.snapshot.info;
    FR_TRY(const bool removed, remove_unused(candidate.snapshot.path, [&] {
             return !info.base_commit.empty() || !has_delta(candidate.folder, info.commit);
           }));
    if (!removed) return {};
    candidate.folder.forget(info.commit);
    report_.bytes_kept -= info.bytes;
    ++report_.snapshots;
    candidate.snapshot.path.clear();
    return {};
  }

  Result<void> remove_mirror(const RepositoryFolder& folder, file_time_type limit) {
    std::error_code error;
    const auto last_use = fs::last_write_time(folder.path(), error);
    if (error || last_use >= limit) return {};
    FR_TRY(const bool removed,
           remove_unused(folder.path(), [&] { return entries(folder.snapshots()).empty(); }));
    if (removed) ++report_.mirrors;
    return {};
  }

  fs::path root_;
  std::vector<RepositoryFolder> folders_;
  std::vector<Candidate> candidates_;
  EvictionReport report_;
};

}  // namespace

Result<EvictionReport> RepositoryCache::evict(std::chrono::seconds older_than,
                                              std::uint64_t max_bytes) {
  return Eviction(root_).run(file_time_type::clock::now() - older_than, max_bytes);
}

}  // namespace flow_runner
