#include "sandbox/host_trial.hpp"

#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/descriptor.hpp"
#include "sandbox/id_map.hpp"
#include "sandbox/mount.hpp"
#include "sandbox/rootless.hpp"
#include "sandbox/scratch.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr int max_milliseconds = 10'000;
constexpr std::uint64_t scratch_bytes = 1 << 20;

Result<void> make_folders(const fs::path& parent, std::initializer_list<const char*> names) {
  std::error_code error;
  for (const char* name : names)
    if (!error) fs::create_directories(parent / name, error);
  if (error)
    return Error{ErrorCode::internal,
                 "cannot make folders in " + parent.string() + ": " + error.message()};
  return {};
}

/// The mounts of a job, as executor and sandbox make them.
Result<void> make_mounts(const fs::path& folder) {
  FR_CHECK(enter_mount_namespace(ProcMount::keep));
  FR_TRY(const fs::path scratch, scratch_folder());
  FR_CHECK(mount_tmpfs(scratch, scratch_bytes, 0711));
  FR_CHECK(make_folders(folder, {"lower/folder", "upper", "work"}));
  FR_CHECK(make_folders(scratch, {"merged", "layers"}));
  Descriptor map;
  if (!is_rootless()) {
    const IdMapping ids{0, IdRange::default_first - IdRange::size, IdRange::size};
    FR_TRY(map, make_id_map({ids}, {ids}));
  }
  const OverlaySpec overlay{.lower = {folder / "lower"},
                            .upper = folder / "upper",
                            .work = folder / "work",
                            .user_xattr = is_rootless()};
  FR_CHECK(mount_overlay(overlay, scratch / "merged", scratch / "layers", map.get()));
  if (is_rootless()) return {};
  const auto merged = scratch / "merged";
  if (::rename((merged / "folder").c_str(), (merged / "renamed").c_str()) != 0)
    return errno_error("cannot rename a folder of an overlay's lower layer");
  return {};
}

/// The child's answer, by the end of the pipe.
Result<std::string> read_answer(int fd) {
  std::string text;
  pollfd wait{fd, POLLIN, 0};
  while (::poll(&wait, 1, max_milliseconds) == 1) {
    char buffer[1024];
    const auto got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return Error{ErrorCode::timed_out, "trying the mounts took too long"};
}

}  // namespace

Result<void> try_job_mounts(const fs::path& folder) {
  FR_TRY(Pipe answer, make_pipe());
  const pid_t child = ::fork();
  if (child < 0) return errno_error("cannot fork");
  if (child == 0) {
    const auto made = make_mounts(folder);
    (void)write_all(answer.write.get(), made ? "." : made.error().message);
    ::_exit(0);
  }
  answer.write.close();
  const auto text = read_answer(answer.read.get());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  std::error_code ignored;
  for (const char* name : {"lower", "upper", "work"}) fs::remove_all(folder / name, ignored);
  if (!text) return text.error();
  if (*text == ".") return {};
  return Error{ErrorCode::denied, text->empty() ? "the process that tries mounts died" : *text};
}

}  // namespace flow_runner
