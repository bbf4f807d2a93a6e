#include "executor/git_confinement.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <string>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "sandbox/capabilities.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

bool is_confined = false;

Error cannot(std::string_view what, int code) {
  Error error = errno_error("cannot confine the git worker: " + std::string(what), code);
  if (error.code == ErrorCode::denied) error.message += "; it needs CAP_SYS_ADMIN";
  return error;
}

Error cannot(std::string_view what) { return cannot(what, errno); }

Result<void> check_single_thread() {
  std::error_code failed;
  std::size_t threads = 0;
  for (fs::directory_iterator task("/proc/self/task", failed), end; !failed && task != end;
       task.increment(failed)) {
    ++threads;
  }
  if (failed) return cannot("cannot count its threads", failed.value());
  if (threads == 1) return {};
  return Error{ErrorCode::internal, "cannot confine the git worker: it has more than one thread"};
}

struct Place {
  fs::path path;
  std::uint64_t attributes = 0;
  Descriptor mount;  ///< a detached copy of the folder's mount
};

Result<void> detach(Place& place) {
  // Not recursive: what else is mounted in the folder stays out.
  const int fd = open_tree(AT_FDCWD, place.path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) return cannot("open_tree " + place.path.string());
  place.mount = Descriptor(fd);
  mount_attr attributes{};
  attributes.attr_set = place.attributes;
  if (mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return cannot("mount_setattr " + place.path.string());
  }
  return {};
}

Result<void> attach(const Place& place) {
  const fs::path target = place.path.relative_path();
  std::error_code failed;
  fs::create_directories(target, failed);
  if (failed) return cannot("mkdir " + place.path.string(), failed.value());
  if (move_mount(place.mount.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return cannot("move_mount " + place.path.string());
  }
  return {};
}

Result<void> change_root(const ConfinedFolders& folders) {
  constexpr std::uint64_t inert =
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
  std::vector<Place> places;
  for (const auto& folder : folders.read_only) {
    places.push_back({.path = folder, .attributes = inert | MOUNT_ATTR_RDONLY, .mount = {}});
  }
  if (!folders.writable.empty()) {
    places.push_back({.path = folders.writable, .attributes = inert, .mount = {}});
  }
  for (auto& place : places) {
    if (!place.path.is_absolute()) {
      return Error{ErrorCode::invalid_input, "cannot confine the git worker: " +
                                                 place.path.string() + " is no absolute path"};
    }
    place.path = place.path.lexically_normal();
    FR_CHECK(detach(place));
  }
  // Whichever lies in another must be mounted after it.
  std::sort(places.begin(), places.end(), [](const Place& left, const Place& right) {
    return left.path.native().size() < right.path.native().size();
  });
  // Any folder serves as the place of the new root until it is the root.
  const char* spot = places.front().path.c_str();
  if (mount("flow-runner", spot, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m,mode=0755") !=
      0) {
    return cannot("mount a tmpfs");
  }
  if (chdir(spot) != 0) return cannot("chdir");
  for (const auto& place : places) FR_CHECK(attach(place));
  if (syscall(SYS_pivot_root, ".", ".") != 0) return cannot("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return cannot("unmount the old root");
  if (chdir("/") != 0) return cannot("chdir");
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof read_only) != 0) {
    return cannot("make the root read only");
  }
  return {};
}

Result<void> limit(__rlimit_resource resource, rlim_t value) {
  rlimit current{};
  if (getrlimit(resource, &current) != 0) return cannot("getrlimit");
  const rlim_t lowest = std::min(value, current.rlim_max);
  const rlimit wanted{.rlim_cur = lowest, .rlim_max = lowest};
  if (setrlimit(resource, &wanted) != 0) return cannot("setrlimit");
  return {};
}

Result<void> set_limits() {
  if (!has_shadow_memory) FR_CHECK(limit(RLIMIT_AS, 4ULL << 30));
  FR_CHECK(limit(RLIMIT_CPU, 30 * 60));
  FR_CHECK(limit(RLIMIT_FSIZE, 4ULL << 30));
  FR_CHECK(limit(RLIMIT_NOFILE, 256));
  FR_CHECK(limit(RLIMIT_CORE, 0));
  return {};
}

Result<void> drop_rights() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return cannot("no_new_privs");
  constexpr std::array kept = {CAP_DAC_READ_SEARCH};
  FR_CHECK(keep_capabilities(kept));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return cannot("not dumpable");
  return {};
}

Result<void> filter_calls() {
  struct Release {
    void operator()(void* context) const noexcept { seccomp_release(context); }
  };
  // What read, write and exit of a C++ program take, with libgit2's loose objects and zlib. No
  // program, process, thread, socket, mount, key or signal to others.
  constexpr std::array allowed = {SCMP_SYS(read),
                                  SCMP_SYS(readv),
                                  SCMP_SYS(pread64),
                                  SCMP_SYS(write),
                                  SCMP_SYS(writev),
                                  SCMP_SYS(pwrite64),
                                  SCMP_SYS(lseek),
                                  SCMP_SYS(close),
                                  SCMP_SYS(fstat),
                                  SCMP_SYS(stat),
                                  SCMP_SYS(lstat),
                                  SCMP_SYS(newfstatat),
                                  SCMP_SYS(statx),
                                  SCMP_SYS(fstatfs),
                                  SCMP_SYS(open),
                                  SCMP_SYS(openat),
                                  SCMP_SYS(openat2),
                                  SCMP_SYS(access),
                                  SCMP_SYS(faccessat),
                                  SCMP_SYS(faccessat2),
                                  SCMP_SYS(getdents64),
                                  SCMP_SYS(readlink),
                                  SCMP_SYS(readlinkat),
                                  SCMP_SYS(mkdir),
                                  SCMP_SYS(mkdirat),
                                  SCMP_SYS(rename),
                                  SCMP_SYS(renameat),
                                  SCMP_SYS(renameat2),
                                  SCMP_SYS(unlink),
                                  SCMP_SYS(unlinkat),
                                  SCMP_SYS(link),
                                  SCMP_SYS(linkat),
                                  SCMP_SYS(chmod),
                                  SCMP_SYS(fchmod),
                                  SCMP_SYS(fchmodat),
                                  SCMP_SYS(ftruncate),
                                  SCMP_SYS(fsync),
                                  SCMP_SYS(fdatasync),
                                  SCMP_SYS(utimensat),
                                  SCMP_SYS(umask),
                                  SCMP_SYS(getcwd),
                                  SCMP_SYS(fcntl),
                                  SCMP_SYS(fadvise64),
                                  SCMP_SYS(mmap),
                                  SCMP_SYS(munmap),
                                  SCMP_SYS(mremap),
                                  SCMP_SYS(mprotect),
                                  SCMP_SYS(madvise),
                                  SCMP_SYS(brk),
                                  SCMP_SYS(futex),
                                  SCMP_SYS(getpid),
                                  SCMP_SYS(gettid),
                                  SCMP_SYS(getppid),
                                  SCMP_SYS(getuid),
                                  SCMP_SYS(geteuid),
                                  SCMP_SYS(getgid),
                                  SCMP_SYS(getegid),
                                  SCMP_SYS(getrandom),
                                  SCMP_SYS(clock_gettime),
                                  SCMP_SYS(gettimeofday),
                                  SCMP_SYS(time),
                                  SCMP_SYS(uname),
                                  SCMP_SYS(sched_yield),
                                  SCMP_SYS(sched_getaffinity),
                                  SCMP_SYS(poll),
                                  SCMP_SYS(ppoll),
                                  SCMP_SYS(rt_sigaction),
                                  SCMP_SYS(rt_sigprocmask),
                                  SCMP_SYS(rt_sigreturn),
                                  SCMP_SYS(sigaltstack),
                                  SCMP_SYS(restart_syscall),
                                  SCMP_SYS(exit),
                                  SCMP_SYS(exit_group)};
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return cannot("seccomp", ENOMEM);
  for (const int call : allowed) {
    const int added = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
    // -EDOM: this machine's architecture has no such call.
    if (added != 0 && added != -EDOM) return cannot("seccomp", -added);
  }
  const int pid = getpid();
  const int abort_rule = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                          SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(pid)));
  if (abort_rule != 0) return cannot("seccomp", -abort_rule);
  const int loaded = seccomp_load(filter.get());
  if (loaded != 0) return cannot("seccomp", -loaded);
  return {};
}

}  // namespace

Result<void> confine(const ConfinedFolders& folders) {
  FR_CHECK(check_single_thread());
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) != 0) return cannot("unshare");
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return cannot("private mounts");
  FR_CHECK(change_root(folders));
  FR_CHECK(set_limits());
  FR_CHECK(drop_rights());
  FR_CHECK(filter_calls());
  is_confined = true;
  return {};
}

Result<void> confine_to_repository(const fs::path& repository, RepositoryAccess access) {
  constexpr int max_levels = 4;
  constexpr std::size_t max_alternates_file = 4096;
  ConfinedFolders folders;
  (access == RepositoryAccess::write ? folders.writable : folders.read_only.emplace_back()) =
      repository;
  fs::path objects = repository / "objects";
  for (int level = 0; level < max_levels; ++level) {
    const auto text = read_file(objects / "info/alternates", max_alternates_file);
    if (!text) break;
    objects = text->substr(0, text->find('\n'));
    folders.read_only.push_back(objects);
  }
  return confine(folders);
}

}  // namespace flow_runner

#ifdef FLOW_RUNNER_SHADOW_MEMORY
// The leak check at exit starts a tracing thread, which the filter forbids.
extern "C" int __lsan_is_turned_off() { return flow_runner::is_confined ? 1 : 0; }
#endif
