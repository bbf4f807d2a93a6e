// Confinement: shuts this process in with the folders of one take-over, for good.
#pragma once

#include <filesystem>

#include "config/result.hpp"

namespace flow_runner {

/// The three folders that stay in sight, at the same absolute paths as before.
struct ConfinedFolders {
  std::filesystem::path view;        ///< read only, links are not followed, no devices
  std::filesystem::path mirror;      ///< read only
  std::filesystem::path quarantine;  ///< writable
};

/// Afterwards the process has mount, network and IPC namespaces of its own; a root that holds only
/// the folders; no capability but CAP_DAC_READ_SEARCH (the files belong to the job's user range);
/// no_new_privs; limits on memory (4 GiB), CPU time (30 minutes), file size and core dumps; and a
/// seccomp filter that knows only how to read, write, map memory and end. Open descriptors stay.
///
/// Before: a single thread, CAP_SYS_ADMIN in the user namespace that owns the mounts. On an Error
/// (denied: a right is missing) the process may be half shut in and must end without reading
/// anything: there is no way on without.
Result<void> confine(const ConfinedFolders& folders);

}  // namespace flow_runner
