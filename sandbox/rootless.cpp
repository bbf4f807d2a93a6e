#include "sandbox/rootless.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_id_file = 1 << 20;

/// The first line of our uid_map: what our 0 is, and how many ids there are.
IdMapping own_map() {
  IdMapping map{0, 0, UINT32_MAX};
  if (const auto text = read_file("/proc/self/uid_map", 1 << 16)) {
    std::istringstream stream(*text);
    stream >> map.inside >> map.outside >> map.count;
  }
  return map;
}

std::string user_name(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry != nullptr ? entry->pw_name : std::to_string(uid);
}

Error no_range(const char* file, const std::string& user) {
  return {ErrorCode::denied,
          "user " + user + " has no range of " + std::to_string(IdRange::size) +
              " subordinate ids in " + file +
              ", which jobs need to run without root; as root: usermod --add-subuids "
              "100000-165535 --add-subgids 100000-165535 " +
              user};
}

Result<IdMapping> subordinate_range(const char* file, const std::string& user, uid_t uid) {
  const auto text = read_file(file, max_id_file);
  const auto range = text ? parse_subordinate_range(*text, user, uid) : std::nullopt;
  if (!range) return no_range(file, user);
  return *range;
}

/// Runs newuidmap or newgidmap on `pid`; only async-signal-safe calls after the fork.
bool run_mapper(const char* program, const std::string& pid, std::uint32_t own,
                const IdMapping& range) {
  const std::array<std::string, 6> words = {"0",
                                            std::to_string(own),
                                            "1",
                                            std::to_string(range.inside),
                                            std::to_string(range.outside),
                                            std::to_string(range.count)};
  const pid_t child = ::fork();
  if (child == 0) {
    ::execlp(program, program, pid.c_str(), words[0].c_str(), words[1].c_str(), words[2].c_str(),
             words[3].c_str(), words[4].c_str(), words[5].c_str(), nullptr);
    ::_exit(errno == ENOENT ? 127 : 126);
  }
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// The helper that stays outside and maps the ids of its parent.
[[noreturn]] void map_parent(int unshared, const std::string& parent, const IdMapping& uids,
                             const IdMapping& gids) {
  char go = 0;
  if (::read(unshared, &go, 1) != 1) ::_exit(3);
  if (!run_mapper("newuidmap", parent, ::getuid(), uids)) ::_exit(1);
  if (!run_mapper("newgidmap", parent, ::getgid(), gids)) ::_exit(2);
  ::_exit(0);
}

/// Of a namespace that others made: it must hold the ids of a job beside our own.
Result<void> check_own_namespace() {
  if (!is_rootless()) return {};
  std::uint64_t ids = 0;
  if (const auto text = read_file("/proc/self/uid_map", 1 << 16)) {
    std::istringstream stream(*text);
    for (IdMapping line; stream >> line.inside >> line.outside >> line.count;) ids += line.count;
  }
  if (ids > IdRange::size) return {};
  return Error{ErrorCode::denied,
               "this user namespace has " + std::to_string(ids) + " user ids, and a job takes " +
                   std::to_string(IdRange::size) +
                   " beside root's: start it with a larger range, or run flow-runner outside"};
}

Error unshare_error() {
  Error error = errno_error("cannot make a user namespace");
  if (error.code == ErrorCode::denied)
    error.message +=
        "; this host forbids them to ordinary users: see the sysctls user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns, or run "
        "flow-runner as root";
  return error;
}

}  // namespace

bool is_rootless() {
  static const bool rootless = own_map().count != UINT32_MAX;
  return rootless;
}

std::uint32_t host_uid() {
  static const std::uint32_t uid = is_rootless() ? own_map().outside : ::geteuid();
  return uid;
}

std::optional<IdMapping> parse_subordinate_range(std::string_view file, std::string_view user,
                                                 std::uint32_t uid) {
  std::istringstream stream{std::string(file)};
  for (std::string line; std::getline(stream, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view owner = std::string_view(line).substr(0, first);
    if (owner != user && owner != std::to_string(uid)) continue;
    IdMapping range{1, 0, 0};
    const char* end = line.data() + line.size();
    const auto start =
        std::from_chars(line.data() + first + 1, line.data() + second, range.outside);
    const auto count = std::from_chars(line.data() + second + 1, end, range.count);
    if (start.ec != std::errc() || start.ptr != line.data() + second || count.ec != std::errc())
      continue;
    if (range.outside == 0 || range.count < IdRange::size) continue;
    range.count = IdRange::size;
    return range;
  }
  return std::nullopt;
}

Result<void> enter_user_namespace(char** argv) {
  if (::geteuid() == 0) return check_own_namespace();
  const std::string user = user_name(::getuid());
  FR_TRY(const IdMapping uids, subordinate_range("/etc/subuid", user, ::getuid()));
  FR_TRY(const IdMapping gids, subordinate_range("/etc/subgid", user, ::getuid()));
  FR_TRY(Pipe unshared, make_pipe());
  const std::string self = std::to_string(::getpid());
  const pid_t mapper = ::fork();
  if (mapper < 0) return errno_error("cannot fork");
  if (mapper == 0) {
    unshared.write.close();
    map_parent(unshared.read.get(), self, uids, gids);
  }
  if (::unshare(CLONE_NEWUSER) != 0) {
    const Error error = unshare_error();
    unshared.write.close();
    ::waitpid(mapper, nullptr, 0);
    return error;
  }
  FR_CHECK(write_all(unshared.write.get(), "."));
  int status = 0;
  while (::waitpid(mapper, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return Error{ErrorCode::denied,
                 "newuidmap or newgidmap could not map the subordinate ids of user " + user +
                     " (its message is above); install the package uidmap"};
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
    return errno_error("cannot become root of the user namespace");
  // git takes it for the owner of what root may read.
  ::unsetenv("SUDO_UID");
  ::unsetenv("SUDO_GID");
  // Again from the start: the kernel then counts this program's memory to the new namespace.
  ::execv("/proc/self/exe", argv);
  return errno_error("cannot start again in the user namespace");
}

}  // namespace flow_runner
