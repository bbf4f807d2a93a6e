#include "sandbox/mount.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace flow_runner {
namespace {

// glibc 2.36 declares these functions but <linux/mount.h> and <sys/mount.h> clash over them in
// places; the raw calls work everywhere.
int open_tree(int directory, const char* path, unsigned flags) {
  return static_cast<int>(::syscall(SYS_open_tree, directory, path, flags));
}
int move_mount(int from, const char* to) {
  return static_cast<int>(
      ::syscall(SYS_move_mount, from, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH));
}
int mount_setattr(int fd, mount_attr& attributes) {
  return static_cast<int>(
      ::syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes));
}

/// Clones `source` as a detached mount, gives it attributes, and attaches it.
Result<void> attach_clone(const std::filesystem::path& source, const std::filesystem::path& target,
                          mount_attr attributes) {
  const Descriptor tree(open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree) return errno_error("cannot clone the mount of " + source.string());
  if (mount_setattr(tree.get(), attributes) != 0)
    return errno_error("cannot set attributes (id map) of the mount of " + source.string() +
                       "; its file system must support id-mapped mounts");
  if (move_mount(tree.get(), target.c_str()) != 0)
    return errno_error("cannot mount on " + target.string());
  return {};
}

std::uint64_t attributes_for(BindMode mode) {
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (mode == BindMode::read_only) attributes |= MOUNT_ATTR_RDONLY;
  return attributes;
}

/// overlayfs splits options at commas and lower folders at colons.
std::string escape_option(const std::string& path) {
  std::string escaped;
  for (const char c : path) {
    if (c == ',' || c == ':' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

Result<void> enter_mount_namespace(ProcMount proc) {
  if (::unshare(CLONE_NEWNS) != 0) return errno_error("cannot make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return errno_error("cannot make mounts private");
  if (proc == ProcMount::fresh &&
      ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return errno_error("cannot mount /proc");
  return {};
}

Result<void> mount_tmpfs(const std::filesystem::path& target, std::uint64_t bytes, unsigned mode) {
  char options[64];
  std::snprintf(options, sizeof options, "size=%llu,mode=%o",
                static_cast<unsigned long long>(bytes), mode);
  if (::mount("tmpfs", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
    return errno_error("cannot mount a tmpfs on " + target.string());
  return {};
}

Result<void> mount_bind(const std::filesystem::path& source, const std::filesystem::path& target,
                        BindMode mode) {
  mount_attr attributes{};
  attributes.attr_set = attributes_for(mode);
  return attach_clone(source, target, attributes);
}

Result<void> mount_id_mapped(const std::filesystem::path& source,
                             const std::filesystem::path& target, int id_map, BindMode mode) {
  mount_attr attributes{};
  attributes.attr_set = attributes_for(mode) | MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(id_map);
  return attach_clone(source, target, attributes);
}

Result<void> mount_overlay(const OverlaySpec& spec, const std::filesystem::path& target,
                           const std::filesystem::path& scratch, int id_map) {
  std::string lower;
  for (std::size_t i = spec.lower.size(); i-- > 0;) {
    const std::string name = std::to_string(i);
    const auto place = scratch / name;
    if (::mkdir(place.c_str(), 0700) != 0) return errno_error("cannot make " + place.string());
    if (id_map >= 0) {
      // Layers keep setuid bits here: the overlay's own flags and no_new_privs decide.
      mount_attr attributes{};
      attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_IDMAP;
      attributes.userns_fd = static_cast<std::uint64_t>(id_map);
      FR_CHECK(attach_clone(spec.lower[i], place, attributes));
    } else {
      FR_CHECK(mount_bind(spec.lower[i], place, BindMode::read_only));
    }
    lower += (lower.empty() ? "" : ":") + name;
  }
  const std::string options = "lowerdir=" + lower + ",upperdir=" + escape_option(spec.upper) +
                              ",workdir=" + escape_option(spec.work) +
                              (spec.user_xattr ? ",userxattr" : ",redirect_dir=on") +
                              ",metacopy=off,index=off" + (spec.is_volatile ? ",volatile" : "");
  // mount(2) takes one page of options: the layers are named relative to the working directory.
  const Descriptor before(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!before || ::chdir(scratch.c_str()) != 0)
    return errno_error("cannot enter " + scratch.string());
  const int mounted = ::mount("overlay", target.c_str(), "overlay", MS_NODEV, options.c_str());
  const int code = errno;
  if (::fchdir(before.get()) != 0) return errno_error("cannot return to the working directory");
  if (mounted != 0) return errno_error("cannot mount an overlay on " + target.string(), code);
  return {};
}

void unmount(const std::filesystem::path& target) noexcept {
  ::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

}  // namespace flow_runner
