#include "executor/git_workspace_view.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <memory>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

/// What a look-up answers when the path leads to nothing that we would read.
bool means_absent(int code) noexcept {
  return code == ENOENT || code == ENOTDIR || code == ELOOP || code == EXDEV ||
         code == ENAMETOOLONG || code == EINVAL || code == ENXIO || code == ENODEV;
}

FileKind kind_of(mode_t mode) noexcept {
  if (S_ISREG(mode)) return FileKind::regular;
  if (S_ISDIR(mode)) return FileKind::folder;
  if (S_ISLNK(mode)) return FileKind::symlink;
  return FileKind::other;
}

Error cannot(std::string_view verb, std::string_view path) {
  const int code = errno;
  return errno_error("cannot " + std::string(verb) + " '" + quote_path(path) + "' of the workspace",
                     code);
}

}  // namespace

Result<WorkspaceView> WorkspaceView::open(const std::filesystem::path& folder) {
  FR_TRY(Descriptor root, open_file(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  return WorkspaceView(std::move(root));
}

Descriptor WorkspaceView::resolve(std::string_view path, int flags) const {
  const std::string name(path.empty() ? "." : path);
  // A name that holds NUL cannot be on disk, and would be cut off on its way to the kernel.
  if (name.find('\0') != std::string::npos) {
    errno = EINVAL;
    return {};
  }
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  long fd = 0;
  do {
    fd = syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  return Descriptor(static_cast<int>(fd));
}

Result<WorkspaceView> WorkspaceView::folder(std::string_view path) const {
  Descriptor fd = resolve(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) return cannot("open the folder", path);
  return WorkspaceView(std::move(fd));
}

Result<FileFacts> WorkspaceView::facts(std::string_view path) const {
  // O_PATH opens no file: a FIFO does not block, a device is not touched.
  const Descriptor fd = resolve(path, O_PATH | O_NOFOLLOW);
  if (!fd) {
    if (means_absent(errno)) return FileFacts{};
    return cannot("look at", path);
  }
  struct stat facts {};
  if (fstat(fd.get(), &facts) != 0) return cannot("look at", path);
  return FileFacts{
      .kind = kind_of(facts.st_mode),
      .executable = (facts.st_mode & S_IXUSR) != 0,
      .size = static_cast<std::uint64_t>(facts.st_size),
      .inode = facts.st_ino,
      .change_time_ns = std::int64_t{facts.st_ctim.tv_sec} * 1'000'000'000 + facts.st_ctim.tv_nsec};
}

Result<std::optional<OpenedFile>> WorkspaceView::open_regular(std::string_view path) const {
  FR_TRY(const FileFacts before, facts(path));
  if (before.kind != FileKind::regular) return std::optional<OpenedFile>{};
  Descriptor fd = resolve(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    if (means_absent(errno)) return std::optional<OpenedFile>{};
    return cannot("open", path);
  }
  struct stat facts {};
  if (fstat(fd.get(), &facts) != 0) return cannot("look at", path);
  if (!S_ISREG(facts.st_mode)) return std::optional<OpenedFile>{};
  return std::optional(
      OpenedFile{.descriptor = std::move(fd), .size = static_cast<std::uint64_t>(facts.st_size)});
}

Result<std::optional<std::string>> WorkspaceView::read_regular(std::string_view path,
                                                               std::size_t max_bytes) const {
  FR_TRY(const std::optional<OpenedFile> file, open_regular(path));
  if (!file) return std::optional<std::string>{};
  FR_TRY(std::string bytes, read_all(file->descriptor.get(), max_bytes, quote_path(path)));
  return std::optional(std::move(bytes));
}

Result<std::string> WorkspaceView::read_link(std::string_view path) const {
  const Descriptor fd = resolve(path, O_PATH | O_NOFOLLOW);
  if (!fd) return cannot("read the link", path);
  std::string target(4096, '\0');
  const auto length = readlinkat(fd.get(), "", target.data(), target.size());
  if (length < 0) return cannot("read the link", path);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

Result<std::vector<std::string>> WorkspaceView::names(std::string_view path,
                                                      std::size_t max_names) const {
  Descriptor fd = resolve(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) {
    if (means_absent(errno)) return std::vector<std::string>{};
    return cannot("list", path);
  }
  struct CloseFolder {
    void operator()(DIR* stream) const noexcept { closedir(stream); }
  };
  const std::unique_ptr<DIR, CloseFolder> stream(fdopendir(fd.get()));
  if (!stream) return cannot("list", path);
  fd.release();
  std::vector<std::string> found;
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    if (found.size() == max_names) {
      return Error{ErrorCode::invalid_input, "folder '" + quote_path(path) +
                                                 "' of the workspace has more than " +
                                                 std::to_string(max_names) + " entries"};
    }
    found.emplace_back(name);
  }
  if (errno != 0) return cannot("list", path);
  std::sort(found.begin(), found.end());
  return found;
}

Result<bool> WorkspaceView::has_attribute(std::string_view path,
                                          const std::vector<const char*>& attributes) const {
  const Descriptor fd = resolve(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return cannot("open", path);
  for (const char* attribute : attributes) {
    if (fgetxattr(fd.get(), attribute, nullptr, 0) >= 0) return true;
    if (errno != ENODATA && errno != ENOTSUP && errno != EPERM) {
      return cannot("read the overlay marks of", path);
    }
  }
  return false;
}

}  // namespace flow_runner
