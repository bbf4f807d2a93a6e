// Mounts: the few kinds that jobs are made of, all in a mount namespace that dies with its
// executor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// A new mount namespace for this process, cut off from the host's propagation, with its own /proc
/// where `own_proc` is asked for (after entering a new PID namespace). Single-threaded callers
/// only.
enum class ProcMount { keep, fresh };
Result<void> enter_mount_namespace(ProcMount proc);

/// A tmpfs of at most `bytes`.
Result<void> mount_tmpfs(const std::filesystem::path& target, std::uint64_t bytes, unsigned mode);

enum class BindMode { read_write, read_only };
/// Binds `source` (a folder or a file) on `target`, which must exist. nosuid and nodev always.
Result<void> mount_bind(const std::filesystem::path& source, const std::filesystem::path& target,
                        BindMode mode);

/// Binds `source` on `target` with its ids translated by the user namespace `id_map`
/// (mount_setattr(2), MOUNT_ATTR_IDMAP; the file system must support it: ext4, xfs, btrfs, tmpfs
/// ≥ 6.3).
Result<void> mount_id_mapped(const std::filesystem::path& source,
                             const std::filesystem::path& target, int id_map, BindMode mode);

/// An overlay (kernel's Documentation/filesystems/overlayfs.rst).
struct OverlaySpec {
  std::vector<std::filesystem::path> lower;  ///< bottom first
  std::filesystem::path upper;
  std::filesystem::path work;
  bool is_volatile = false;  ///< no sync to disk: for what is thrown away
  /// Marks in user.* attributes, the only ones that a rootless mount can set. The kernel allows no
  /// redirects then: renaming a folder of a lower layer fails with EXDEV.
  bool user_xattr = false;
};

/// Mounts with redirect_dir=on (folder renames work; not with user_xattr), metacopy=off, index=off.
/// Each lower folder is
/// first id-mapped below `scratch` (an empty folder in this mount namespace), where `id_map` >= 0;
/// the short names there keep the option string small with hundreds of layers.
Result<void> mount_overlay(const OverlaySpec& spec, const std::filesystem::path& target,
                           const std::filesystem::path& scratch, int id_map);

/// Lazily unmounts; not mounted is no error.
void unmount(const std::filesystem::path& target) noexcept;

}  // namespace flow_runner
