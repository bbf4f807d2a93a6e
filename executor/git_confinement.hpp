// Confinement: shuts this process in with the few folders of one request, for good.
#pragma once

#include <filesystem>
#include <vector>

#include "config/result.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLOW_RUNNER_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FLOW_RUNNER_SHADOW_MEMORY 1
#endif
#endif

namespace flow_runner {

/// A sanitizer maps terabytes that it never touches: limits on memory cannot be set in such a
/// build.
#ifdef FLOW_RUNNER_SHADOW_MEMORY
inline constexpr bool has_shadow_memory = true;
#else
inline constexpr bool has_shadow_memory = false;
#endif

/// The folders that stay in sight, at the same absolute paths as before; links in them are not
/// followed, devices do not work. At least one.
struct ConfinedFolders {
  std::vector<std::filesystem::path> read_only;
  std::filesystem::path writable;  ///< empty: none
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

/// confine() to one bare repository of ours and the object folders that it names as alternates
/// (four levels at most), for requests that read a job's objects from it.
enum class RepositoryAccess { read, write };
Result<void> confine_to_repository(const std::filesystem::path& repository,
                                   RepositoryAccess access);

}  // namespace flow_runner
