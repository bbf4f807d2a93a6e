#include "sandbox/project_quota.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/rootless.hpp"

namespace flow_runner {
namespace {

constexpr std::uint64_t quota_block = 1024;  // quotactl(2): dqb_bhardlimit's unit

// The kernel translates these commands for xfs too.
int quota_call(int fd, unsigned command, std::uint32_t project, void* data) {
  return static_cast<int>(::syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, data));
}

bool enforces_projects(int fd) {
  fs_quota_statv state{};
  state.qs_version = FS_QSTATV_VERSION1;
  return quota_call(fd, Q_XGETQSTATV, 0, &state) == 0 && (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

Result<void> set_limits(int fd, std::uint32_t project, const ProjectQuota::Usage& limit) {
  if_dqblk limits{};
  limits.dqb_bhardlimit = (limit.bytes + quota_block - 1) / quota_block;
  limits.dqb_ihardlimit = limit.entries;
  limits.dqb_valid = QIF_LIMITS;
  if (quota_call(fd, Q_SETQUOTA, project, &limits) != 0)
    return errno_error("cannot set the quota of project " + std::to_string(project));
  return {};
}

}  // namespace

Result<ProjectQuota::Usage> ProjectQuota::usage() const {
  if_dqblk now{};
  if (quota_call(folder_.get(), Q_GETQUOTA, project_, &now) != 0) {
    // xfs knows nothing of a project that owns nothing yet.
    if (errno == ENOENT) return Usage{};
    return errno_error("cannot read the quota of project " + std::to_string(project_));
  }
  return Usage{now.dqb_curspace, now.dqb_curinodes};
}

Result<std::optional<ProjectQuota>> ProjectQuota::apply(const std::filesystem::path& folder,
                                                        std::uint32_t first, std::uint32_t count,
                                                        const Usage& limit) {
  FR_TRY(Descriptor fd, open_file(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // The kernel lets nobody in a user namespace change a project (ioctl_xfs_fsgetxattr(2)).
  if (is_rootless() || !enforces_projects(fd.get())) return std::optional<ProjectQuota>();
  ProjectQuota quota(std::move(fd), first);
  while (true) {
    FR_TRY(const Usage before, quota.usage());
    if (before.entries == 0) break;
    if (++quota.project_ - first >= count)
      return Error{ErrorCode::denied, "every project from " + std::to_string(first) + " to " +
                                          std::to_string(quota.project_ - 1) +
                                          " on the file system of " + folder.string() +
                                          " has files; remove what dead jobs have left there"};
  }
  fsxattr attributes{};
  if (::ioctl(quota.folder_.get(), FS_IOC_FSGETXATTR, &attributes) != 0)
    return errno_error("cannot read the project of " + folder.string());
  attributes.fsx_projid = quota.project_;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(quota.folder_.get(), FS_IOC_FSSETXATTR, &attributes) != 0)
    return errno_error("cannot set the project of " + folder.string());
  FR_CHECK(set_limits(quota.folder_.get(), quota.project_, limit));
  return std::optional(std::move(quota));
}

Result<void> ProjectQuota::lift() {
  if (!folder_) return {};
  auto lifted = set_limits(folder_.get(), project_, {});
  folder_.close();
  return lifted;
}

}  // namespace flow_runner
