// Workspace: a job's own writable view of a snapshot, and what git in the job finds in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/result.hpp"
#include "sandbox/id_map.hpp"

namespace flow_runner {

/// Where the mirror's objects are in the container; `.git/objects/info/alternates` names it.
inline constexpr const char* objects_in_container = "/run/flow-runner-objects";

struct WorkspaceSpec {
  std::vector<std::filesystem::path> snapshot_layers;  ///< checkouts, bottom first
  std::filesystem::path
      overlay;  ///< the job's folder on disk; made by `create`, kept until salvaged
  std::filesystem::path scratch;  ///< empty folder on a tmpfs of this mount namespace
  std::string commit;             ///< HEAD, detached
  std::string url;  ///< of `origin`; empty: none (local paths mean nothing in a container)
  std::string default_branch;
  std::optional<std::string> default_tip;
  std::string workload_ref;                 ///< full ref; its branch becomes origin/<name>
  std::optional<std::string> workload_tip;  ///< absent: origin/<name> is at `commit`
  std::filesystem::path shallow_file;       ///< the mirror's, if it is shallow
  std::uint32_t owner_uid = 0;              ///< host ids of the image's user
  std::uint32_t owner_gid = 0;
};

/// The overlay's folders on disk are `overlay/upper` (what the job changed), `overlay/work` and
/// `overlay/git` (a small lower layer: HEAD, config, refs, alternates). `mount` can be repeated
/// after a crash over the same folders. The mount dies with the mount namespace, not before: taking
/// an overlay down syncs the whole file system below it, and that can take long on a busy host.
class Workspace {
 public:
  /// Writes the layers on disk. Once per job.
  static Result<void> create(const WorkspaceSpec& spec);
  /// Mounts the overlay; needs CAP_SYS_ADMIN and what `create` has made.
  static Result<Workspace> mount(const WorkspaceSpec& spec);

  [[nodiscard]] const std::filesystem::path& merged() const noexcept { return merged_; }
  [[nodiscard]] std::filesystem::path upper() const { return overlay_ / "upper"; }
  /// Whether the job changed anything at all, `.git` included: one readdir.
  [[nodiscard]] Result<bool> touched() const;

 private:
  Workspace(std::filesystem::path merged, std::filesystem::path overlay)
      : merged_(std::move(merged)), overlay_(std::move(overlay)) {}

  std::filesystem::path merged_;
  std::filesystem::path overlay_;
};

/// The files of the `.git` layer: {path below .git, content}. Pure.
std::vector<std::pair<std::string, std::string>> git_layer_files(const WorkspaceSpec& spec);

}  // namespace flow_runner
