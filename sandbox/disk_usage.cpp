#include "sandbox/disk_usage.hpp"

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace flow_runner {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t stat_block = 512;  // stat(2): whatever the file system's blocks are
constexpr int entries_between_clocks = 32;
constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;

/// As getdents64(2) writes it.
struct KernelEntry {
  ino64_t inode;
  off64_t next;
  unsigned short length;
  unsigned char type;
  char name[1];
};

Descriptor open_folder(int parent, const char* name) {
  // O_NOATIME is the owner's and root's only; without it the walk leaves a trace, no more.
  Descriptor fd(::openat(parent, name, folder_flags | O_NOATIME));
  if (!fd && errno == EPERM) fd = Descriptor(::openat(parent, name, folder_flags));
  return fd;
}

bool is_dots(std::string_view name) { return name == "." || name == ".."; }

}  // namespace

Result<TreeWalk> TreeWalk::open(const std::filesystem::path& root) {
  TreeWalk walk;
  Descriptor fd = open_folder(AT_FDCWD, root.c_str());
  struct stat facts {};
  if (!fd || ::fstat(fd.get(), &facts) != 0) return errno_error("cannot measure " + root.string());
  walk.device_ = facts.st_dev;
  walk.frames_.push_back({facts.st_ino, 0});
  walk.open_.push_back(std::move(fd));
  walk.buffer_.resize(32 * 1024);
  return walk;
}

void TreeWalk::count(const struct stat& facts) {
  if (facts.st_nlink > 1 && !S_ISDIR(facts.st_mode) && !linked_.insert(facts.st_ino).second) return;
  count_.bytes += static_cast<std::uint64_t>(facts.st_blocks) * stat_block;
  ++count_.entries;
}

bool TreeWalk::enter(const char* name) {
  Descriptor fd = open_folder(open_.back().get(), name);
  struct stat opened {};
  // Gone meanwhile, replaced, or a mount: what is there now is not what was counted.
  if (!fd || ::fstat(fd.get(), &opened) != 0 || opened.st_dev != device_) return false;
  frames_.push_back({opened.st_ino, 0});
  open_.push_back(std::move(fd));
  if (open_.size() > open_folders) open_.pop_front();
  filled_ = next_ = 0;
  return true;
}

bool TreeWalk::leave() {
  frames_.pop_back();
  if (frames_.empty()) return false;
  if (open_.size() == 1) {
    Descriptor parent = open_folder(open_.back().get(), "..");
    struct stat facts {};
    if (!parent || ::fstat(parent.get(), &facts) != 0 || facts.st_dev != device_ ||
        facts.st_ino != frames_.back().inode) {
      disturbed_ = true;
      return false;
    }
    open_.push_front(std::move(parent));
  }
  open_.pop_back();
  ::lseek(open_.back().get(), frames_.back().position, SEEK_SET);
  filled_ = next_ = 0;
  return true;
}

bool TreeWalk::read_more() {
  const long count = ::syscall(SYS_getdents64, open_.back().get(), buffer_.data(), buffer_.size());
  next_ = 0;
  filled_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  return count > 0;
}

WalkState TreeWalk::step(Clock::duration budget) {
  const auto end = Clock::now() + budget;
  for (int entries = 0; !frames_.empty() && !disturbed_; ++entries) {
    if (entries % entries_between_clocks == 0 && entries > 0 && Clock::now() >= end)
      return WalkState::going_on;
    if (next_ >= filled_ && !read_more()) {
      leave();
      continue;
    }
    const char* record = buffer_.data() + next_;
    const char* const name = record + offsetof(KernelEntry, name);
    unsigned short length = 0;
    std::memcpy(&length, record + offsetof(KernelEntry, length), sizeof length);
    std::memcpy(&frames_.back().position, record + offsetof(KernelEntry, next), sizeof(off64_t));
    next_ += length;
    struct stat facts {};
    if (is_dots(name) ||
        ::fstatat(open_.back().get(), name, &facts, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0 ||
        facts.st_dev != device_)
      continue;
    count(facts);
    if (S_ISDIR(facts.st_mode)) enter(name);
  }
  return disturbed_ ? WalkState::disturbed : WalkState::done;
}

bool DeletedFilesWalk::next_folder() {
  if (!std::exchange(started_, true)) {
    const Folder proc(::opendir("/proc"));
    while (const dirent* entry = proc ? ::readdir(proc.get()) : nullptr)
      if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0)
        if (const int pid = std::atoi(entry->d_name); pid != ::getpid()) pids_.push_back(pid);
  }
  while (!pids_.empty()) {
    const std::string path =
        "/proc/" + std::to_string(pids_.back()) + (maps_ ? "/map_files" : "/fd");
    if (maps_) pids_.pop_back();
    maps_ = !maps_;
    folder_.reset(::opendir(path.c_str()));
    if (folder_) return true;
  }
  return false;
}

void DeletedFilesWalk::look(const char* name) {
  const int folder = ::dirfd(folder_.get());
  struct stat facts {};
  if (::fstatat(folder, name, &facts, 0) != 0 || facts.st_nlink != 0 || !S_ISREG(facts.st_mode))
    return;
  if (facts.st_dev != device_) {
    // Opening is safe: it is a regular file. Memory files are the memory limit's business.
    const Descriptor file(::openat(folder, name, O_PATH | O_CLOEXEC));
    struct statfs system {};
    if (!file || ::fstatfs(file.get(), &system) != 0 || system.f_type != OVERLAYFS_SUPER_MAGIC)
      return;
  }
  if (seen_.insert(facts.st_ino).second)
    bytes_ += static_cast<std::uint64_t>(facts.st_blocks) * stat_block;
}

WalkState DeletedFilesWalk::step(Clock::duration budget) {
  const auto end = Clock::now() + budget;
  for (int entries = 1;; ++entries) {
    if (entries % entries_between_clocks == 0 && Clock::now() >= end) return WalkState::going_on;
    if (!folder_ && !next_folder()) return WalkState::done;
    const dirent* entry = ::readdir(folder_.get());
    if (entry == nullptr)
      folder_.reset();
    else if (!is_dots(entry->d_name))
      look(entry->d_name);
  }
}

}  // namespace flow_runner
