// Workspace: a job's own writable view of a snapshot, and what git in the job finds in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "config/result.hpp"
#include "sandbox/id_map.hpp"

namespace flow_runner {

/// Where the mirror's objects are in the container; `.git/objects/info/alternates` names it.
inline constexpr const char* objects_in_container = "/run/flow-runner-objects";

enum class WorkspaceKind {
  overlay,  ///< costs nothing to make; needs CAP_SYS_ADMIN over the host's file systems
  copy,     ///< a plain copy (workspace_copy.hpp), for a user namespace
};

struct WorkspaceSpec {
  WorkspaceKind kind = WorkspaceKind::overlay;
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

/// As an overlay, its folders on disk are `overlay/upper` (what the job changed), `overlay/work`
/// and `overlay/git` (a small lower layer: HEAD, config, refs, alternates). `mount` can be repeated
/// after a crash over the same folders. The mount dies with the mount namespace, not before: taking
/// an overlay down syncs the whole file system below it, and that can take long on a busy host.
/// As a copy it is `overlay/copy` and, written last, its mark `overlay/copy.mark`.
class Workspace {
 public:
  /// Writes what lies on disk. Once per job. For a copy it blocks for as long as the files take
  /// (cancelled by `stop`), and needs what copy_layers() does; call it off the loop's thread.
  static Result<void> create(const WorkspaceSpec& spec, const std::stop_token& stop = {});
  /// Whether `overlay` holds a workspace that a job may have worked in.
  static bool may_hold_work(WorkspaceKind kind, const std::filesystem::path& overlay);
  /// Mounts it; needs CAP_SYS_ADMIN in the owner of the mount namespace and what `create` has made.
  /// A copy whose mark is missing was never finished: not_found.
  static Result<Workspace> mount(const WorkspaceSpec& spec);

  [[nodiscard]] const std::filesystem::path& merged() const noexcept { return merged_; }
  /// Empty for a copy.
  [[nodiscard]] std::filesystem::path upper() const;
  /// Empty for an overlay.
  [[nodiscard]] std::filesystem::path copy_mark() const;
  /// Whether the job may have changed anything at all, `.git` included: one readdir. Of a copy only
  /// the take-over's walk could tell: always true.
  [[nodiscard]] Result<bool> touched() const;

 private:
  Workspace(WorkspaceKind kind, std::filesystem::path merged, std::filesystem::path overlay)
      : kind_(kind), merged_(std::move(merged)), overlay_(std::move(overlay)) {}

  WorkspaceKind kind_;
  std::filesystem::path merged_;
  std::filesystem::path overlay_;
};

/// The files of the `.git` layer: {path below .git, content}. Pure.
std::vector<std::pair<std::string, std::string>> git_layer_files(const WorkspaceSpec& spec);

}  // namespace flow_runner
