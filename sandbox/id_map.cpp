#include "sandbox/id_map.hpp"

#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace flow_runner {

std::filesystem::path id_range_folder() { return "/run/flow-runner-ids"; }

IdRange IdRange::of_user_namespace() noexcept {
  IdRange range;
  range.base_ = 1;
  return range;
}

Result<IdRange> IdRange::acquire(const std::filesystem::path& folder, std::uint32_t first) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error("cannot make " + folder.string());
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    FR_TRY(Descriptor lock, open_file(folder / std::to_string(slot), O_RDWR | O_CREAT));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
    IdRange range;
    range.lock_ = std::move(lock);
    range.base_ = first + slot * size;
    return range;
  }
  return Error{ErrorCode::unavailable,
               "all " + std::to_string(slots) + " user id ranges are in use"};
}

Result<void> write_id_maps(int pid, const IdMap& uids, const IdMap& gids) {
  const std::string proc = "/proc/" + std::to_string(pid);
  for (const auto& [name, mappings] :
       {std::pair("/uid_map", &uids), std::pair("/gid_map", &gids)}) {
    FR_TRY(const Descriptor file, open_file(proc + name, O_WRONLY));
    std::string map;
    for (const auto& mapping : *mappings)
      map += std::to_string(mapping.inside) + " " + std::to_string(mapping.outside) + " " +
             std::to_string(mapping.count) + "\n";
    if (::write(file.get(), map.data(), map.size()) != static_cast<ssize_t>(map.size()))
      return errno_error("cannot write " + std::string(name + 1) + " of a user namespace");
  }
  return {};
}

Result<Descriptor> make_id_map(const IdMap& uids, const IdMap& gids) {
  // A namespace lives as long as a descriptor on it: a child that only waits makes it.
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
  if (child < 0) return errno_error("cannot make a user namespace");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) ::pause();
  }
  const auto finish = [child](Result<Descriptor> result) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return result;
  };
  if (const auto mapped = write_id_maps(child, uids, gids); !mapped) return finish(mapped.error());
  return finish(open_file("/proc/" + std::to_string(child) + "/ns/user", O_RDONLY));
}

}  // namespace flow_runner
