// Probes of processes and rights: who can be seen, signalled, and become more than it is.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "sandbox/probe/probe_facts.hpp"
#include "sandbox/probe/probe_outcome.hpp"

namespace flow_runner::probe {
namespace {

constexpr const char* as_setuid = "--started-setuid";
constexpr const char* as_capable = "--started-capable";
constexpr unsigned ordinary_user = 1000;
constexpr int gained_nothing = EPERM;

/// A copy of this program where a container can have programs with rights (/tmp cannot).
std::string copy_of_self(const char* name) {
  for (const std::string folder : {"/", "/var/tmp/", "/root/"}) {
    const std::string path = folder + name;
    ::unlink(path.c_str());
    const int to = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (to < 0) continue;
    const int from = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char buffer[65536];
    ssize_t got = 0;
    bool good = from >= 0;
    while (good && (got = ::read(from, buffer, sizeof buffer)) > 0)
      good = ::write(to, buffer, static_cast<std::size_t>(got)) == got;
    if (from >= 0) ::close(from);
    ::close(to);
    if (good) return path;
    ::unlink(path.c_str());
  }
  return {};
}

/// Starts the copy as an ordinary user; its exit code is an errno, 0 when it has gained.
Outcome start_as_ordinary_user(const std::string& path, const char* mode) {
  return in_child("the started program", [&] {
    if (::setresgid(ordinary_user, ordinary_user, ordinary_user) != 0 ||
        ::setresuid(ordinary_user, ordinary_user, ordinary_user) != 0)
      return -1L;
    ::execl(path.c_str(), path.c_str(), mode, nullptr);
    return -1L;
  });
}

/// The first process whose name is `name` as far as /proc shows; 0: none.
int process_named(const char* name) {
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return 0;
  int found = 0;
  while (const dirent* entry = found == 0 ? ::readdir(folder) : nullptr) {
    const int pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    char comm[32] = {};
    const int fd = ::open((std::string("/proc/") + entry->d_name + "/comm").c_str(),
                          O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    const auto got = ::read(fd, comm, sizeof comm - 1);
    ::close(fd);
    if (got > 0 && std::strncmp(comm, name, std::strlen(name)) == 0) found = pid;
  }
  ::closedir(folder);
  return found;
}

}  // namespace

Outcome leaked_environment() {
  const char* name = fact(probe_facts::secret_name);
  if (name == nullptr) return missing(probe_facts::secret_name);
  return fact(name) == nullptr ? closed("not set") : open_hole("set");
}

Outcome new_privileges() {
  return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? closed("no_new_privs is set")
                                                       : open_hole("no_new_privs is not set");
}

Outcome setuid_program() {
  const std::string path = copy_of_self("probe-setuid");
  if (path.empty()) return not_run("no place for a program");
  const auto outcome = ::chmod(path.c_str(), 04755) == 0
                           ? start_as_ordinary_user(path, as_setuid)
                           : not_run(std::string("chmod: ") + std::strerror(errno));
  ::unlink(path.c_str());
  return outcome;
}

Outcome file_capabilities() {
  const std::string path = copy_of_self("probe-capable");
  if (path.empty()) return not_run("no place for a program");
  // struct vfs_cap_data of <linux/capability.h>, revision 2: the kernel adds whose root it is.
  vfs_cap_data data{};
  data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  data.data[0].permitted = 1U << CAP_NET_BIND_SERVICE;
  const auto outcome =
      ::setxattr(path.c_str(), "security.capability", &data, sizeof data, 0) == 0
          ? start_as_ordinary_user(path, as_capable)
          : not_run(std::string("setxattr: ") + std::strerror(errno));
  ::unlink(path.c_str());
  return outcome;
}

int started_by_probe(int argc, char** argv) {
  if (argc != 2) return -1;
  if (std::strcmp(argv[1], as_setuid) == 0) return ::geteuid() == 0 ? 0 : gained_nothing;
  if (std::strcmp(argv[1], as_capable) != 0) return -1;
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[2] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return errno;
  return (sets[0].effective & (1U << CAP_NET_BIND_SERVICE)) != 0 ? 0 : gained_nothing;
}

Outcome host_process() {
  const char* wanted = fact(probe_facts::pid_namespace);
  if (wanted == nullptr) return missing(probe_facts::pid_namespace);
  char own[64] = {};
  if (::readlink("/proc/self/ns/pid", own, sizeof own - 1) < 0) return not_run("no /proc");
  return std::strcmp(own, wanted) == 0 ? open_hole("in the runner's PID namespace") : closed(own);
}

Outcome kill_host_process() {
  const int pid = process_named(probe_facts::victim_name);
  if (pid == 0) return closed("no such process in /proc");
  return judge(::kill(pid, 0), "kill");
}

Outcome runner_root() {
  const int pid = process_named(probe_facts::runner_name);
  if (pid == 0) return closed("no such process in /proc");
  return opens(("/proc/" + std::to_string(pid) + "/root").c_str(), O_RDONLY | O_DIRECTORY);
}

Outcome host_ipc() {
  const auto key = number(probe_facts::queue_key);
  if (key < 0) return missing(probe_facts::queue_key);
  return judge(::msgget(static_cast<key_t>(key), 0), "msgget");
}

}  // namespace flow_runner::probe
