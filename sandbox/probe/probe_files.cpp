// Probes of files: what a container must not find open, readable, writable, or be able to make.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sandbox/probe/probe_outcome.hpp"

namespace flow_runner::probe {
namespace {

/// A masked file is an empty /dev/null: opening it is no hole, reading a byte is.
Outcome reads(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return judge(fd, "open");
  char byte = 0;
  const auto got = ::read(fd, &byte, 1);
  ::close(fd);
  return got == 1 ? open_hole(std::string(path) + " has content") : closed("is empty");
}

/// A masked folder is an empty one.
Outcome lists(const char* path) {
  DIR* folder = ::opendir(path);
  if (folder == nullptr) return judge(-1, "opendir");
  std::string found;
  while (const dirent* entry = ::readdir(folder))
    if (entry->d_name[0] != '.') found = entry->d_name;
  ::closedir(folder);
  return found.empty() ? closed("is empty") : open_hole(std::string(path) + " holds " + found);
}

bool is_open(const Outcome& outcome) { return outcome.outcome == std::string("open"); }

/// What every container has, by Linux's numbers (Documentation/admin-guide/devices.txt).
bool is_harmless(const struct stat& status) {
  const auto number = status.st_rdev;
  for (const unsigned minor_number : {3U, 5U, 7U, 8U, 9U})  // null zero full random urandom
    if (number == makedev(1, minor_number)) return true;
  const bool own_terminal = number == makedev(5, 0) || number == makedev(5, 2) ||
                            (major(number) >= 136 && major(number) <= 143);
  return own_terminal || number == makedev(5, 1);  // the console is a terminal of the container's
}

/// Looks at a folder of /dev and opens what is not harmless.
Outcome opens_devices(const std::string& folder, int depth) {
  DIR* entries = ::opendir(folder.c_str());
  if (entries == nullptr) return judge(-1, "opendir");
  Outcome outcome = closed("only the harmless ones");
  while (const dirent* entry = is_open(outcome) ? nullptr : ::readdir(entries)) {
    if (entry->d_name[0] == '.') continue;
    const std::string path = folder + "/" + entry->d_name;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode) && depth > 0) outcome = opens_devices(path, depth - 1);
    if ((!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode)) || is_harmless(status)) continue;
    const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) continue;
    ::close(fd);
    outcome = open_hole("opened " + path);
  }
  ::closedir(entries);
  return outcome;
}

}  // namespace

Outcome leaked_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return not_run("cannot list /proc/self/fd");
  std::string found;
  while (const dirent* entry = ::readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (fd > 2 && fd != ::dirfd(folder)) found += std::string(" ") + entry->d_name;
  }
  ::closedir(folder);
  return found.empty() ? closed("0, 1 and 2 only") : open_hole("open:" + found);
}

Outcome opens(const char* path, int flags) {
  const int fd = ::open(path, flags | O_CLOEXEC);
  const auto outcome = judge(fd, "open");
  if (fd >= 0) ::close(fd);
  return outcome;
}

Outcome masked_files() {
  for (const char* path :
       {"/proc/kcore", "/proc/timer_list", "/proc/sched_debug", "/proc/keys", "/proc/kmsg",
        "/proc/kallsyms", "/proc/interrupts", "/proc/config.gz"})
    if (auto outcome = reads(path); is_open(outcome)) return outcome;
  for (const char* path : {"/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware",
                           "/sys/dev/block", "/sys/devices/virtual/powercap"})
    if (auto outcome = lists(path); is_open(outcome)) return outcome;
  return closed("all are empty or refused");
}

Outcome device_node() {
  Outcome last = not_run("no place to make one");
  for (const char* path : {"/probe-device", "/tmp/probe-device", "/dev/probe-device"}) {
    ::unlink(path);
    if (::mknod(path, S_IFCHR | 0600, makedev(1, 3)) != 0) {
      last = judge(-1, "mknod");
      continue;
    }
    last = opens(path, O_RDONLY);
    ::unlink(path);
    if (is_open(last)) return last;
  }
  return last;
}

Outcome host_devices() { return opens_devices("/dev", 1); }

}  // namespace flow_runner::probe
