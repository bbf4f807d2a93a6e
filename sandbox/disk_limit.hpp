// DiskLimit: bounds what a job writes to disk, by the file system's project quota or by a watch.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "config/result.hpp"

namespace flow_runner {

struct DiskLimitSpec {
  std::filesystem::path folder;  ///< exists, holds all that the job writes to disk, still empty
  std::uint64_t bytes = 0;       ///< 0: no limit, only the floor
  std::uint64_t free_floor = 0;  ///< of the folder's file system; 0: none
  /// For a quota: `projects` ids of the job's own. The first without files is taken: what a dead
  /// job has left keeps its project.
  std::uint32_t first_project = 0;
  std::uint32_t projects = 64;
};

/// Why a job has to end. `space` and `entries` are the job's own limit; `floor` is the host's.
enum class DiskShortage { space, entries, floor, unmeasurable };

struct DiskExhaustion {
  DiskShortage shortage = DiskShortage::space;
  std::uint64_t used = 0;   ///< bytes, or entries
  std::uint64_t limit = 0;  ///< in the same unit
};

/// What a person reads: which limit, how much was used, and what raises it. Pure.
std::string describe(const DiskExhaustion& exhaustion);

/// A small file takes an inode besides its blocks: one entry for each 4 KiB of the limit, at least
/// 1024.
std::uint64_t max_disk_entries(std::uint64_t bytes) noexcept;

/// Whether a job that holds `used` bytes has to end when its file system has `free` left: those
/// that hold a sixteenth of the floor go first, below half of the floor all do. Pure.
bool below_floor(std::uint64_t used, std::uint64_t free, std::uint64_t floor) noexcept;

/// Order: apply before anything is written into the folder, watch when the job starts, lift when
/// its script has ended. A quota refuses the job's writes (EDQUOT) exactly at the limit. The watch
/// measures on the caller's loop, 2 ms at a time, when the file system has lost so much space that
/// the limit can have been reached, and now and then; between two measures a job can exceed its
/// limit by what the disk takes in that time. It counts deleted files that processes hold open.
/// Used on one thread.
class DiskLimit {
 public:
  /// A file system without room for the job is denied, and says so.
  static Result<DiskLimit> apply(boost::asio::any_io_executor executor, const DiskLimitSpec& spec);
  DiskLimit(DiskLimit&&) noexcept;
  DiskLimit& operator=(DiskLimit&&) noexcept;
  ~DiskLimit();  ///< lift()

  /// Calls back once, when the job has to end. Never calls back after lift().
  void watch(std::function<void(const DiskExhaustion&)> on_exhausted);
  /// Whether the job's writes were refused, or would be now: for a script that has failed.
  [[nodiscard]] std::optional<DiskExhaustion> full() const;
  /// Ends watch and quota: what we write into the folder from now on is not refused. Safe twice.
  Result<void> lift();

  /// Its name in the result: disk_quota or disk_watch; empty without a limit.
  [[nodiscard]] std::string layer() const;
  /// Bytes, as last measured.
  [[nodiscard]] std::uint64_t used() const;

 private:
  struct State;
  explicit DiskLimit(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace flow_runner
