#include "executor/repository_folder.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "executor/git_output.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_snapshot_json = 64 << 10;
constexpr std::string_view history_folder = "refs/flow-runner/history";
constexpr std::string_view snapshots_folder = "refs/flow-runner/snapshots";

Result<void> make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return errno_error("cannot make " + path.string(), error.value());
  return {};
}

std::string depth_name(int depth) { return depth == 0 ? "full" : std::to_string(depth); }

/// The depths that have a folder below refs/flow-runner/history.
std::vector<int> known_depths(const std::filesystem::path& mirror) {
  std::vector<int> depths;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry(mirror / history_folder, ignored), end;
       !ignored && entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename();
    int depth = 0;
    const auto [last, error] = std::from_chars(name.data(), name.data() + name.size(), depth);
    if (error == std::errc() && last == name.data() + name.size()) depths.push_back(depth);
  }
  return depths;
}

}  // namespace

Result<LockAttempt> try_lock(const std::filesystem::path& path, LockMode mode) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) {
    if (errno == ENOENT) return LockAttempt{};
    return errno_error("cannot open " + path.string());
  }
  const int operation = (mode == LockMode::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  while (::flock(file.get(), operation) != 0) {
    if (errno == EWOULDBLOCK) return LockAttempt{LockOutcome::busy, {}};
    if (errno != EINTR) return errno_error("cannot lock " + path.string());
  }
  struct stat ours {};
  struct stat named {};
  if (::fstat(file.get(), &ours) != 0) return errno_error("cannot look at " + path.string());
  if (::lstat(path.c_str(), &named) != 0 || ours.st_ino != named.st_ino ||
      ours.st_dev != named.st_dev)
    return LockAttempt{LockOutcome::busy, {}};
  return LockAttempt{LockOutcome::held, std::move(file)};
}

asio::awaitable<Result<std::optional<Descriptor>>> lock_path(
    std::filesystem::path path, LockMode mode, std::chrono::steady_clock::time_point deadline,
    Cancellation& cancellation, std::function<void()> on_wait) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  const auto subscription = cancellation.on_request([&timer](StopCause) { timer.cancel(); });
  std::chrono::milliseconds pause(20);
  while (true) {
    FR_CO_TRY(LockAttempt attempt, try_lock(path, mode));
    if (attempt.outcome == LockOutcome::absent) co_return std::optional<Descriptor>();
    if (attempt.outcome == LockOutcome::held)
      co_return std::optional<Descriptor>(std::move(attempt.lock));
    if (cancellation.requested())
      co_return Error{ErrorCode::cancelled, "waiting for " + path.string() + " was cancelled"};
    if (std::chrono::steady_clock::now() >= deadline)
      co_return Error{ErrorCode::timed_out, "another job has kept " + path.string() +
                                                " locked until this one's deadline; try again"};
    if (on_wait) std::exchange(on_wait, {})();
    timer.expires_at(std::min(std::chrono::steady_clock::now() + pause, deadline));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    pause = std::min(pause * 2, std::chrono::milliseconds(250));
  }
}

std::filesystem::path name_aside(const std::filesystem::path& path) {
  return path.string() + std::string(temporary_mark) + std::to_string(::getpid()) + "-" +
         std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
}

Result<void> RepositoryFolder::create() const {
  FR_CHECK(make_folder(snapshots()));
  FR_CHECK(open_file(fetch_lock(), O_RDONLY | O_CREAT));
  std::error_code ignored;
  if (std::filesystem::exists(mirror() / "HEAD", ignored)) return {};

  std::string temporary = mirror().string() + ".tmp-XXXXXX";
  if (::mkdtemp(temporary.data()) == nullptr) return errno_error("cannot make " + temporary);
  const std::filesystem::path made(temporary);
  for (const char* folder : {"objects/info", "objects/pack", "refs/heads"})
    FR_CHECK(make_folder(made / folder));
  FR_CHECK(replace_file(made / "config",
                        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
                        0600));
  // Names no branch that is ever made: nothing reads a mirror's HEAD.
  FR_CHECK(replace_file(made / "HEAD", "ref: refs/heads/none\n", 0600));
  if (::rename(made.c_str(), mirror().c_str()) == 0) return {};
  const int cause = errno;
  std::filesystem::remove_all(made, ignored);
  // Another process was faster.
  if (std::filesystem::exists(mirror() / "HEAD", ignored)) return {};
  return errno_error("cannot make " + mirror().string(), cause);
}

std::string RepositoryFolder::history_ref(const std::string& commit, int depth) {
  return std::string(history_folder) + "/" + depth_name(depth) + "/" + commit;
}

bool RepositoryFolder::has_history(const std::string& commit, int depth) const {
  std::error_code ignored;
  if (std::filesystem::exists(mirror() / history_ref(commit, 0), ignored)) return true;
  if (depth == 0) return false;
  const auto depths = known_depths(mirror());
  return std::any_of(depths.begin(), depths.end(), [&](int known) {
    return known >= depth &&
           std::filesystem::exists(mirror() / history_ref(commit, known), ignored);
  });
}

int RepositoryFolder::deepest() const {
  const auto depths = known_depths(mirror());
  return depths.empty() ? 0 : *std::max_element(depths.begin(), depths.end());
}

bool RepositoryFolder::shallow() const {
  std::error_code ignored;
  const auto size = std::filesystem::file_size(mirror() / "shallow", ignored);
  return !ignored && size > 0;
}

Result<void> RepositoryFolder::keep(const std::string& commit) const {
  const auto file = mirror() / snapshots_folder / commit;
  FR_CHECK(make_folder(file.parent_path()));
  return replace_file(file, commit + "\n", 0600);
}

bool RepositoryFolder::keeps(const std::string& commit) const {
  std::error_code ignored;
  return std::filesystem::exists(mirror() / snapshots_folder / commit, ignored);
}

void RepositoryFolder::forget(const std::string& commit) const {
  std::error_code ignored;
  std::filesystem::remove(mirror() / snapshots_folder / commit, ignored);
}

Result<std::optional<SnapshotInfo>> RepositoryFolder::read_snapshot(
    const std::string& commit) const {
  const auto file = snapshot(commit) / "snapshot.json";
  auto text = read_file(file, max_snapshot_json);
  if (!text) {
    if (text.error().code == ErrorCode::not_found) return std::optional<SnapshotInfo>();
    return text.error();
  }
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (json.is_discarded()) return std::optional<SnapshotInfo>();
  auto info = from_json<SnapshotInfo>(json);
  // Written by another release, or damaged: it is made again.
  if (!info || info->version != SnapshotInfo().version || info->commit != commit ||
      (!info->base_commit.empty() && !is_commit_id(info->base_commit)))
    return std::optional<SnapshotInfo>();
  return std::optional<SnapshotInfo>(std::move(*info));
}

Result<std::vector<StoredSnapshot>> RepositoryFolder::list_snapshots() const {
  std::vector<StoredSnapshot> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(snapshots(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!is_commit_id(name)) continue;
    auto info = read_snapshot(name);
    if (!info || !*info) continue;
    std::error_code gone;
    const auto time = std::filesystem::last_write_time(entry->path(), gone);
    if (!gone) found.push_back({entry->path(), std::move(**info), time});
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return errno_error("cannot list " + snapshots().string(), error.value());
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.last_use > b.last_use; });
  return found;
}

}  // namespace flow_runner
