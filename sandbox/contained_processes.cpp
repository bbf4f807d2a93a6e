#include "sandbox/contained_processes.hpp"

#include <cctype>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

ino_t pid_namespace_of(const std::string& process) {
  struct stat facts {};
  return ::stat(("/proc/" + process + "/ns/pid").c_str(), &facts) == 0 ? facts.st_ino : 0;
}

}  // namespace

std::size_t signal_contained_processes(int signal) {
  const ino_t own = pid_namespace_of("self");
  std::size_t count = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (std::isdigit(static_cast<unsigned char>(name.front())) == 0) continue;
    const Descriptor held(static_cast<int>(::syscall(SYS_pidfd_open, std::atoi(name.c_str()), 0)));
    const ino_t space = pid_namespace_of(name);
    // A zombie has no namespace any more.
    if (!held || space == 0 || space == own) continue;
    if (::syscall(SYS_pidfd_send_signal, held.get(), signal, nullptr, 0) == 0) ++count;
  }
  return count;
}

Result<void> kill_contained_processes(std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (signal_contained_processes(SIGKILL) > 0) {
    if (std::chrono::steady_clock::now() >= end)
      return Error{ErrorCode::timed_out, "processes of the job did not die"};
    ::poll(nullptr, 0, 2);
  }
  return {};
}

}  // namespace flow_runner
