#include "executor/workspace_copy.hpp"

#include <cerrno>
#include <chrono>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <memory>
#include <string>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "config/quoted_path.hpp"
#include "executor/remove_tree.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

constexpr std::chrono::seconds clock_deadline{5};
constexpr std::uint64_t progress_step = 1000;
constexpr mode_t mode_bits = 0777;

using Folder = std::unique_ptr<DIR, decltype([](DIR* folder) { ::closedir(folder); })>;

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Error cannot_copy(const std::string& path) {
  const int code = errno;
  return errno_error("cannot copy '" + quote_path(path) + "' into the workspace", code);
}

/// The clock that the file system stamps inodes with, read from an inode of our own beside the
/// copy: it is neither this process's clock nor as fine.
class FileClock {
 public:
  static Result<FileClock> beside(const std::filesystem::path& target) {
    const std::filesystem::path probe = target.string() + ".clock";
    FR_TRY(Descriptor file, open_file(probe, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    ::unlink(probe.c_str());
    return FileClock(std::move(file));
  }

  [[nodiscard]] Result<std::int64_t> now() const {
    struct stat facts {};
    if (::fchmod(file_.get(), 0600) != 0 || ::fstat(file_.get(), &facts) != 0)
      return errno_error("cannot read the clock of the workspace's file system");
    return nanoseconds(facts.st_ctim);
  }

  [[nodiscard]] Result<void> wait_past(std::int64_t moment) const {
    const auto deadline = std::chrono::steady_clock::now() + clock_deadline;
    while (true) {
      FR_TRY(const std::int64_t time, now());
      if (time > moment) return {};
      if (std::chrono::steady_clock::now() > deadline)
        return Error{ErrorCode::timed_out,
                     "the clock of the workspace's file system stands still for 5 s"};
      // One tick of the kernel's coarse clock is 1 to 10 ms; the condition is asked again.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  explicit FileClock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

class LayerCopy {
 public:
  LayerCopy(const CopyRequest& request, CopyMark& mark) : request_(request), mark_(mark) {}

  Result<void> run(const std::filesystem::path& layer) {
    FR_TRY(source_, open_file(layer, O_PATH | O_DIRECTORY));
    FR_TRY(target_, open_file(request_.target, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    pending_.emplace_back();
    while (!pending_.empty()) {
      const std::string folder = std::move(pending_.back());
      pending_.pop_back();
      FR_CHECK(copy_folder(folder));
    }
    return {};
  }

 private:
  static Descriptor resolve(int top, const std::string& path) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const std::string name = path.empty() ? "." : path;
    long fd = 0;
    do {
      fd = ::syscall(SYS_openat2, top, name.c_str(), &how, sizeof how);
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return Descriptor(static_cast<int>(fd));
  }

  Result<void> copy_folder(const std::string& path) {
    Descriptor from = resolve(source_.get(), path);
    if (!from) return cannot_copy(path);
    const Descriptor to = resolve(target_.get(), path);
    struct stat facts {};
    if (!to || ::fstat(from.get(), &facts) != 0) return cannot_copy(path);
    const Folder stream(::fdopendir(from.get()));
    if (!stream) return cannot_copy(path);
    const int from_fd = from.release();
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (entry == nullptr && errno != 0) return cannot_copy(path);
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      FR_CHECK(copy_entry(from_fd, to.get(), name, path.empty() ? name : path + "/" + name));
    }
    // Last: what is made in a folder moves its times. Its subfolders are there already.
    const timespec times[2] = {facts.st_atim, facts.st_mtim};
    if (::fchown(to.get(), request_.uid, request_.gid) != 0 ||
        ::fchmod(to.get(), path.empty() ? 0755 : facts.st_mode & mode_bits) != 0 ||
        ::futimens(to.get(), times) != 0 || ::fstat(to.get(), &facts) != 0)
      return cannot_copy(path);
    mark_.folders[path] = facts.st_ino;
    return {};
  }

  Result<void> copy_entry(int from, int to, const std::string& name, const std::string& path) {
    if (request_.stop.stop_requested())
      return Error{ErrorCode::cancelled, "the copy of the workspace was cancelled"};
    struct stat facts {};
    if (::fstatat(from, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return cannot_copy(path);
    if (S_ISDIR(facts.st_mode)) return begin_folder(from, to, name, path);
    const bool whiteout = S_ISCHR(facts.st_mode) && facts.st_rdev == 0;
    if (!whiteout && !S_ISREG(facts.st_mode) && !S_ISLNK(facts.st_mode))
      return Error{ErrorCode::internal, "'" + quote_path(path) + "' of a snapshot is no file"};
    FR_CHECK(clear(to, name, path));
    if (whiteout) return {};
    FR_CHECK(S_ISLNK(facts.st_mode) ? copy_link(from, to, name, path)
                                    : copy_file(from, to, name, path, facts));
    const timespec times[2] = {facts.st_atim, facts.st_mtim};
    if (::utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return cannot_copy(path);
    if (++files_ % progress_step == 0 && request_.on_files) request_.on_files(files_);
    return {};
  }

  Result<void> begin_folder(int from, int to, const std::string& name, const std::string& path) {
    struct stat facts {};
    bool there = ::fstatat(to, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0;
    if (there) {
      FR_TRY(const bool hides, S_ISDIR(facts.st_mode) ? opaque(from, name, path) : true);
      if (hides) FR_CHECK(clear(to, name, path));
      there = !hides;
    }
    if (!there && ::mkdirat(to, name.c_str(), 0700) != 0) return cannot_copy(path);
    pending_.push_back(path);
    return {};
  }

  static Result<bool> opaque(int from, const std::string& name, const std::string& path) {
    const Descriptor folder(
        ::openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return cannot_copy(path);
    // Outside the first user namespace the trusted one reads as absent; layers that are written
    // there carry the other.
    for (const char* mark : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
      char value = 0;
      if (::fgetxattr(folder.get(), mark, &value, 1) == 1) return value == 'y';
      if (errno != ENODATA && errno != ENOTSUP && errno != EPERM) return cannot_copy(path);
    }
    return false;
  }

  /// Removes what a lower layer has there.
  Result<void> clear(int to, const std::string& name, const std::string& path) {
    if (::unlinkat(to, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return cannot_copy(path);
    std::erase_if(mark_.folders, [&](const auto& folder) {
      return folder.first == path || folder.first.starts_with(path + "/");
    });
    return remove_tree(request_.target / path);
  }

  Result<void> copy_link(int from, int to, const std::string& name, const std::string& path) const {
    std::string destination(PATH_MAX, '\0');
    const auto length = ::readlinkat(from, name.c_str(), destination.data(), destination.size());
    if (length < 0) return cannot_copy(path);
    destination.resize(static_cast<std::size_t>(length));
    if (::symlinkat(destination.c_str(), to, name.c_str()) != 0 ||
        ::fchownat(to, name.c_str(), request_.uid, request_.gid, AT_SYMLINK_NOFOLLOW) != 0)
      return cannot_copy(path);
    return {};
  }

  Result<void> copy_file(int from, int to, const std::string& name, const std::string& path,
                         const struct stat& facts) const {
    const Descriptor in(::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    const Descriptor out(
        ::openat(to, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!in || !out) return cannot_copy(path);
    if (facts.st_size > 0 && ::ioctl(out.get(), FICLONE, in.get()) != 0)
      FR_CHECK(copy_bytes(in.get(), out.get(), path));
    if (::fchown(out.get(), request_.uid, request_.gid) != 0 ||
        ::fchmod(out.get(), facts.st_mode & mode_bits) != 0)
      return cannot_copy(path);
    return {};
  }

  static Result<void> copy_bytes(int in, int out, const std::string& path) {
    constexpr std::size_t piece = 64UL << 20;
    bool in_kernel = true;
    while (in_kernel) {
      const auto count = ::copy_file_range(in, nullptr, out, nullptr, piece, 0);
      if (count == 0) return {};
      if (count > 0) continue;
      if (errno == EINTR) continue;
      if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
        return cannot_copy(path);
      in_kernel = false;  // both offsets are where it stopped
    }
    std::string buffer(1UL << 17, '\0');
    while (true) {
      const auto count = ::read(in, buffer.data(), buffer.size());
      if (count == 0) return {};
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return cannot_copy(path);
      FR_CHECK(write_all(out, std::string_view(buffer).substr(0, static_cast<std::size_t>(count))));
    }
  }

  const CopyRequest& request_;
  CopyMark& mark_;
  Descriptor source_;
  Descriptor target_;
  std::vector<std::string> pending_;  ///< folders still to visit; both sides have them
  std::uint64_t files_ = 0;
};

}  // namespace

Result<CopyMark> copy_layers(const CopyRequest& request) {
  FR_TRY(const FileClock clock, FileClock::beside(request.target));
  CopyMark mark;
  FR_TRY(mark.begin_ns, clock.now());
  if (::mkdir(request.target.c_str(), 0700) != 0)
    return errno_error("cannot make " + request.target.string());
  for (const auto& layer : request.layers) FR_CHECK(LayerCopy(request, mark).run(layer));
  FR_TRY(mark.end_ns, clock.now());
  FR_CHECK(clock.wait_past(mark.end_ns));
  return mark;
}

}  // namespace flow_runner
