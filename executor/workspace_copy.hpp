// A plain copy of a checkout's layers: a workspace where overlay mounts cannot do (rootless).
// An overlay of a user namespace has no redirect_dir: rename(2) of a lower folder fails with EXDEV.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <vector>

#include "config/result.hpp"
#include "executor/copy_mark.hpp"

namespace flow_runner {

struct CopyRequest {
  std::vector<std::filesystem::path> layers;  ///< as an overlay has them, bottom first
  std::filesystem::path target;               ///< absent before; its parent is on the same disk
  std::uint32_t uid = 0;                      ///< owner of all that is made
  std::uint32_t gid = 0;
  std::stop_token stop{};                         ///< asked before each file: cancelled
  std::function<void(std::uint64_t)> on_files{};  ///< files copied so far, every thousand
};

/// Makes `target` what an overlay of the layers would show: files, links and folders with mode and
/// modification time, whiteouts and opaque folders resolved, by reflink where the file system has
/// it. No extended attribute and no hard link is kept, a checkout has none. Works one layer after
/// the other, for what is on top is small. Follows no link, and holds two descriptors however deep
/// the layers are. Then waits (5 s at most, else timed_out) until the file system's clock has moved
/// on, so that the mark is true from the job's first moment.
///
/// Blocks the calling thread for seconds; thread-safe for different targets. Nothing else writes to
/// layers or target meanwhile. After an error the target may exist in part: remove it.
/// Needs CAP_CHOWN (and CAP_FOWNER, CAP_DAC_OVERRIDE) over uid and gid unless they are the
/// caller's.
Result<CopyMark> copy_layers(const CopyRequest& request);

}  // namespace flow_runner
