// DiskUsage: measures what a job holds on disk, a few milliseconds at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <dirent.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unordered_set>
#include <vector>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// What was counted: blocks as stat(2) has them, so that a sparse file counts what it takes.
struct DiskCount {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;  ///< files, folders and links; a file with many names once
};

enum class WalkState { going_on, done, disturbed };

/// One walk over a tree that an attacker changes meanwhile: links are not followed, other file
/// systems not entered, access times not touched. Depth costs memory (32 bytes each), not
/// descriptors. Used on one thread.
class TreeWalk {
 public:
  /// `root` is no link; it is not counted itself.
  static Result<TreeWalk> open(const std::filesystem::path& root);

  /// Works for about `budget` (more only where one system call takes longer). `disturbed`: a folder
  /// was moved away below the walk, and the count is not the whole.
  WalkState step(std::chrono::steady_clock::duration budget);
  [[nodiscard]] const DiskCount& count() const noexcept { return count_; }
  [[nodiscard]] dev_t device() const noexcept { return device_; }

 private:
  struct Frame {
    ino_t inode = 0;
    off_t position = 0;  ///< where to go on reading when the walk is back
  };
  TreeWalk() = default;
  bool enter(const char* name);
  bool leave();
  void count(const struct stat& facts);
  bool read_more();

  static constexpr std::size_t open_folders = 64;

  dev_t device_ = 0;
  std::vector<Frame> frames_;
  std::deque<Descriptor> open_;  ///< of the innermost folders; the outer ones are behind ".."
  std::vector<char> buffer_;
  std::size_t filled_ = 0;
  std::size_t next_ = 0;
  std::unordered_set<ino_t> linked_;  ///< files with more than one name
  DiskCount count_;
  bool disturbed_ = false;
};

/// One walk over the files that processes hold without a name: open or mapped, but deleted. All
/// processes of this /proc but the caller's count, files on `device` or on an overlay.
class DeletedFilesWalk {
 public:
  explicit DeletedFilesWalk(dev_t device) : device_(device) {}

  WalkState step(std::chrono::steady_clock::duration budget);
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
  };
  using Folder = std::unique_ptr<DIR, CloseFolder>;

  bool next_folder();
  void look(const char* name);

  dev_t device_;
  bool started_ = false;
  std::vector<int> pids_;
  bool maps_ = false;  ///< the next folder is map_files of the last pid
  Folder folder_;
  std::unordered_set<std::uint64_t> seen_;
  std::uint64_t bytes_ = 0;
};

}  // namespace flow_runner
