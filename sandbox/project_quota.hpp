// ProjectQuota: a folder's own block and inode limit, enforced by the file system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// ext4 mounted with prjquota, xfs with pquota (quotactl_fd(2), Linux 5.14). Everything made in the
/// folder from now on inherits the project. Root's own writes are refused too: except on ext4 with
/// CAP_SYS_RESOURCE, which an overlay never uses for its job.
class ProjectQuota {
 public:
  struct Usage {
    std::uint64_t bytes = 0;
    std::uint64_t entries = 0;
  };

  /// Absent where the file system enforces no project quota. Takes the first project of
  /// `first`…`first + count - 1` that owns no file; none is denied.
  static Result<std::optional<ProjectQuota>> apply(const std::filesystem::path& folder,
                                                   std::uint32_t first, std::uint32_t count,
                                                   const Usage& limit);

  [[nodiscard]] Result<Usage> usage() const;
  /// No limit any more; the files keep their project until they are removed. Safe twice.
  Result<void> lift();

 private:
  ProjectQuota(Descriptor folder, std::uint32_t project)
      : folder_(std::move(folder)), project_(project) {}

  Descriptor folder_;
  std::uint32_t project_;
};

}  // namespace flow_runner
