// CopyMark: what tells the inodes of a workspace's copy that the job touched from those it did not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "config/result.hpp"

namespace flow_runner {

/// An inode is as it was copied if its change time (which no job can set) lies in the window, and,
/// for a folder, if it is also the one that was made at its path: a renamed folder brings inodes
/// along whose own change time is old. All three file systems that matter (ext4, xfs, btrfs) and
/// tmpfs move the change time of what is renamed itself. A clock that is set back leaves the window
/// empty or is before it, so that more counts as touched, never less.
struct CopyMark {
  std::int64_t begin_ns = 0;  ///< since the epoch, by the file system's clock
  std::int64_t end_ns = 0;    ///< its clock has moved on when the copy is handed over
  std::unordered_map<std::string, std::uint64_t> folders;  ///< path to inode; "" is the copy itself

  [[nodiscard]] bool untouched(std::int64_t change_time_ns) const noexcept {
    return begin_ns <= change_time_ns && change_time_ns <= end_ns;
  }
};

inline constexpr std::size_t max_copy_mark_bytes = 512UL << 20;

/// The mark as a file's bytes, and back. A damaged one is internal.
std::string format_copy_mark(const CopyMark& mark);
Result<CopyMark> parse_copy_mark(std::string_view bytes);

}  // namespace flow_runner
