#include "executor/remove_tree.hpp"

#include <cerrno>
#include <cstdint>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "sandbox/descriptor.hpp"

namespace flow_runner {

namespace {

constexpr int max_depth = 48;

using Folder = std::unique_ptr<DIR, decltype([](DIR* folder) { ::closedir(folder); })>;

class TreeRemoval {
 public:
  explicit TreeRemoval(std::filesystem::path root) : root_(std::move(root)) {}

  Result<void> run() {
    Folder folder = open_folder(AT_FDCWD, root_.c_str());
    if (!folder && errno == ENOENT) return {};
    if (!folder && (errno == ENOTDIR || errno == ELOOP)) {
      if (::unlink(root_.c_str()) == 0) return {};
      return failed(root_.string());
    }
    if (!folder) return failed(root_.string());
    root_fd_ = ::dirfd(folder.get());
    // What lay too deep has been moved up, and is reached by the next round.
    do {
      moved_ = false;
      ::rewinddir(folder.get());
      FR_CHECK(empty(folder.get(), 0));
    } while (moved_);
    if (::rmdir(root_.c_str()) != 0) return failed(root_.string());
    return {};
  }

 private:
  static Folder open_folder(int parent, const char* name) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = ::openat(parent, name, flags);
    if (fd < 0 && errno == EACCES) {
      // Nobody else works here any more, so the name cannot become a link in between.
      struct stat facts {};
      if (::fstatat(parent, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(facts.st_mode) &&
          ::fchmodat(parent, name, 0700, 0) == 0)
        fd = ::openat(parent, name, flags);
    }
    if (fd < 0) return nullptr;
    Folder folder(::fdopendir(fd));
    if (!folder) ::close(fd);
    // Entries of a folder without write permission cannot be removed by an ordinary user.
    if (folder && ::geteuid() != 0) ::fchmod(fd, 0700);
    return folder;
  }

  Result<void> empty(DIR* folder, int depth) {
    const int fd = ::dirfd(folder);
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(folder);
      if (entry == nullptr && errno != 0) return failed("an entry");
      if (entry == nullptr) return {};
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      FR_CHECK(remove(fd, name, depth));
    }
  }

  Result<void> remove(int parent, const std::string& name, int depth) {
    if (::unlinkat(parent, name.c_str(), 0) == 0) return {};
    if (errno != EISDIR && errno != EPERM) return failed(name);
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return {};
    if (errno != ENOTEMPTY && errno != EEXIST) return failed(name);
    if (depth >= max_depth) return move_up(parent, name);
    Folder folder = open_folder(parent, name.c_str());
    if (!folder) return failed(name);
    FR_CHECK(empty(folder.get(), depth + 1));
    folder.reset();
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) return failed(name);
    return {};
  }

  Result<void> move_up(int parent, const std::string& name) {
    for (int attempts = 0; attempts < 1 << 22; ++attempts) {
      const std::string aside = ".removing-" + std::to_string(next_name_++);
      if (::renameat2(parent, name.c_str(), root_fd_, aside.c_str(), RENAME_NOREPLACE) == 0) {
        moved_ = true;
        return {};
      }
      if (errno != EEXIST) return failed(name);
    }
    return failed(name);
  }

  [[nodiscard]] Error failed(const std::string& name) const {
    return errno_error("cannot remove " + root_.string() + " (at " + name + ")");
  }

  std::filesystem::path root_;
  int root_fd_ = -1;
  std::uint64_t next_name_ = 0;
  bool moved_ = false;
};

}  // namespace

Result<void> remove_tree(const std::filesystem::path& path) { return TreeRemoval(path).run(); }

}  // namespace flow_runner
