// JobEnvironment: the environment and the files that a job's script finds in its container.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "config/job.hpp"
#include "config/result.hpp"
#include "config/variables.hpp"

namespace flow_runner {

/// Where the folder of job files is mounted in the container, read-only.
inline constexpr const char* job_files_in_container = "/run/flow-runner";

/// What the image contributes.
struct ImageEnvironment {
  std::vector<std::string> environment;  ///< NAME=value
  std::string home = "/";
  std::uint32_t host_uid = 0;  ///< the image's user on the host, who owns the files
  std::uint32_t host_gid = 0;
};

/// The image's variables, then PATH and HOME if it has none, CI_PROJECT_DIR, the CA variables where
/// the job brings a CA, the job's own, and last, in proxy mode, those that lead to the proxy. Later
/// names win; each name once. NAME=value.
std::vector<std::string> build_environment(const Job& job, const ResolvedVariables& variables,
                                           const ImageEnvironment& image,
                                           const std::string& project_dir);

/// Writes the script, file variables (0600) and the merged CA bundle into `folder` (empty, on a
/// tmpfs).
Result<void> write_job_files(const std::filesystem::path& folder, const Job& job,
                             const ResolvedVariables& variables, const ImageEnvironment& image);

}  // namespace flow_runner
