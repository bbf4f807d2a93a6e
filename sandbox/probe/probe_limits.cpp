// Probes of limits: each goes past the one that it was told, in a bounded way.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <vector>

#include "sandbox/probe/probe_facts.hpp"
#include "sandbox/probe/probe_outcome.hpp"

namespace flow_runner::probe {
namespace {

constexpr std::size_t piece = 1 << 20;

/// Writes `bytes` into one file, really, and removes it. Negative by errno.
long fill(const char* path, long long bytes) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  const std::vector<char> data(piece, 'x');
  long outcome = 0;
  for (long long done = 0; outcome == 0 && done < bytes; done += piece)
    if (::write(fd, data.data(), data.size()) != static_cast<ssize_t>(data.size())) outcome = -1;
  const int code = errno;
  ::close(fd);
  ::unlink(path);
  errno = code;
  return outcome;
}

}  // namespace

Outcome pids_limit() {
  const auto limit = number(probe_facts::tasks);
  if (limit < 0) return missing(probe_facts::tasks);
  std::vector<pid_t> children;
  int refused = 0;
  while (refused == 0 && static_cast<long long>(children.size()) < limit + 8) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    if (child < 0) refused = errno;
    if (child > 0) children.push_back(child);
  }
  for (const pid_t child : children) ::kill(child, SIGKILL);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  const std::string count = std::to_string(children.size());
  return refused == 0 ? open_hole(count + " processes at once")
                      : closed("fork after " + count + ": " + std::strerror(refused));
}

Outcome memory_limit() {
  const auto limit = number(probe_facts::memory_bytes);
  if (limit < 0) return missing(probe_facts::memory_bytes);
  return in_child("use of more memory", [limit] {
    const auto size = static_cast<std::size_t>(limit) + (limit / 4);
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -1L;
    auto* bytes = static_cast<volatile char*>(memory);
    for (std::size_t at = 0; at < size; at += 4096) bytes[at] = 1;
    return 0L;
  });
}

Outcome file_size() {
  const auto limit = number(probe_facts::file_bytes);
  if (limit < 0) return missing(probe_facts::file_bytes);
  return in_child("a file beyond the limit", [limit] {
    ::signal(SIGXFSZ, SIG_IGN);
    const int fd = ::open("/probe-file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return -1L;
    ::unlink("/probe-file");
    return static_cast<long>(::ftruncate(fd, limit + 1));  // sparse: takes no room
  });
}

Outcome tmp_size() {
  const auto limit = number(probe_facts::tmp_bytes);
  if (limit < 0) return missing(probe_facts::tmp_bytes);
  return in_child("write to /tmp", [limit] { return fill("/tmp/probe-fill", limit + piece); });
}

Outcome disk_limit() {
  const auto limit = number(probe_facts::disk_bytes);
  if (limit < 0) return missing(probe_facts::disk_bytes);
  const std::vector<char> data(piece, 'x');
  // Twice the limit, then a moment for whoever measures; he ends us in between.
  for (long long done = 0; done < 2 * limit; done += piece) {
    const std::string path = "/probe-disk-" + std::to_string(done / static_cast<long long>(piece));
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const auto wrote = fd < 0 ? -1 : ::write(fd, data.data(), data.size());
    const int code = errno;
    if (fd >= 0) ::close(fd);
    errno = code;
    if (wrote != static_cast<ssize_t>(data.size())) return judge(-1, "write");
  }
  ::sleep(10);
  return open_hole("twice the limit lies on the disk after ten seconds");
}

}  // namespace flow_runner::probe
