#include "sandbox/scratch.hpp"

#include <cerrno>
#include <sys/stat.h>

#include "sandbox/rootless.hpp"

namespace flow_runner {

Result<std::filesystem::path> scratch_folder() {
  const std::filesystem::path folder = "/run/flow-runner";
  if (::mkdir(folder.c_str(), 0711) == 0 || errno == EEXIST) return folder;
  if (!is_rootless()) return errno_error("cannot make " + folder.string());
  // An empty one hides nothing that the job needs.
  for (const char* candidate : {"/mnt", "/media", "/srv", "/opt"}) {
    std::error_code error;
    if (std::filesystem::is_empty(candidate, error) && !error) return candidate;
  }
  return Error{ErrorCode::denied,
               "a job without root needs an empty folder to work in, in its own view of the file "
               "system only; as root: mkdir " +
                   folder.string()};
}

}  // namespace flow_runner
