#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "config/units.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/job_commands.hpp"
#include "daemon/cli/job_work.hpp"
#include "executor/changes.hpp"
#include "executor/executor_client.hpp"
#include "executor/remove_tree.hpp"
#include "executor/repository_cache.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

using std::chrono::system_clock;

// The configuration's defaults for `retention`.
struct Retention {
  std::chrono::milliseconds jobs = std::chrono::days(14);
  std::chrono::milliseconds bundles = std::chrono::days(30);
  std::chrono::milliseconds snapshots = std::chrono::days(7);
  std::uint64_t snapshot_bytes = 20ULL << 30;
};

Result<Retention> read_retention(const PruneArguments& arguments) {
  Retention retention;
  if (arguments.older_than.empty()) return retention;
  const auto age = parse_duration(arguments.older_than);
  if (!age) return Error{ErrorCode::invalid_input, "--older-than: " + age.error().message};
  // Elsewhere a plain number means seconds; here that would remove nearly everything by mistake.
  if (arguments.older_than.find_first_not_of("0123456789") == std::string::npos)
    return Error{ErrorCode::invalid_input, "--older-than: say the unit, as in " +
                                               arguments.older_than + "d or " +
                                               arguments.older_than + "h"};
  retention.jobs = retention.snapshots = *age;
  if (arguments.unpublished) retention.bundles = *age;
  return retention;
}

// A workspace that is still there could not be made a bundle of, unless somebody asked for it.
bool workspace_holds_work(const JobDirectory& directory) {
  std::error_code error;
  if (!fs::exists(directory.overlay(), error)) return false;
  const auto journal = directory.read_journal();
  const auto kept = journal ? kept_workspace(directory, *journal) : std::nullopt;
  return !kept || kept->only_copy;
}

Result<void> remove_workspace(const JobDirectory& directory) {
  FR_TRY(const auto lock, directory.try_lock());
  if (!lock)
    return Error{ErrorCode::unavailable, "the job " + directory.id() + " is still running"};
  FR_TRY(const auto result, directory.read_result());
  std::error_code error;
  if (!result || !fs::exists(directory.overlay(), error))
    return Error{ErrorCode::not_found, "the job " + directory.id() + " has left no workspace"};
  if (workspace_holds_work(directory))
    return Error{ErrorCode::denied,
                 "the workspace of the job " + directory.id() +
                     " holds work that is nowhere else: it is removed with the job, by prune "
                     "--older-than … --unpublished"};
  // Aside in one step, as the executor does it: whoever comes between finds all of it or nothing.
  fs::rename(directory.overlay(), directory.removing(), error);
  if (error) return errno_error("cannot remove " + directory.overlay().string(), error.value());
  return remove_tree(directory.removing());
}

int prune_workspace(const StateDirectory& state, const std::string& id) {
  const auto directory = find_job(state, id);
  if (!directory) return print_error(directory.error());
  if (const auto removed = remove_workspace(*directory); !removed)
    return print_error(removed.error());
  print(STDERR_FILENO, "removed the workspace of the job " + directory->id() + "\n");
  return exit_success;
}

// Whether it was removed.
Result<bool> prune_job(const JobDirectory& directory, const Retention& retention,
                       system_clock::time_point now) {
  FR_TRY(const auto lock, directory.try_lock());
  if (!lock) return false;
  FR_TRY(const auto result, directory.read_result());
  // Without a result the work may lie only here; the salvage before us had its reason to fail.
  if (!result) return false;
  const bool unpublished =
      (!result->bundle.empty() && result->pushed_ref.empty()) || workspace_holds_work(directory);
  if (now - result->finished_at < (unpublished ? retention.bundles : retention.jobs)) return false;
  FR_CHECK(remove_tree(directory.path()));
  return true;
}

// Locks that keep what a job's kept changes build on: its repository and its snapshots. A bundle
// without its base cannot be applied, and for a job that started from uncommitted files the base is
// nowhere else.
std::vector<Descriptor> hold_base(const JobDirectory& job) {
  std::error_code error;
  if (!fs::exists(job.bundle_file(), error) && !fs::exists(job.overlay(), error)) return {};
  std::vector<Descriptor> locks;
  const auto hold = [&](const fs::path& folder) {
    auto lock = open_file(folder, O_RDONLY | O_DIRECTORY);
    if (lock && ::flock(lock->get(), LOCK_SH | LOCK_NB) == 0) locks.push_back(std::move(*lock));
  };
  const auto entries = job.read_journal();
  if (!entries) return {};
  for (const JournalEntry& entry : *entries) {
    if (entry.state != "workspace") continue;
    const auto record = workspace_record_from_json(entry.data);
    if (!record) continue;
    hold(record->mirror.parent_path());
    for (const fs::path& layer : record->snapshot_layers) hold(layer.parent_path());
  }
  return locks;
}

// A job folder that was never finished being made has no name that list_jobs() takes for a job's.
void sweep_half_made(const StateDirectory& state) {
  std::error_code error;
  for (fs::directory_iterator entry(state.jobs(), error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!entry->path().filename().string().starts_with(".new-")) continue;
    const auto lock = JobDirectory(entry->path()).try_lock();
    if (lock && *lock) [[maybe_unused]]
      const auto removed = remove_tree(entry->path());
  }
}

asio::awaitable<int> prune(const PruneArguments& arguments, Cancellation& cancellation) {
  const auto retention = read_retention(arguments);
  if (!retention) co_return print_error(retention.error());
  const auto state = open_state(arguments.state_dir);
  if (!state) co_return print_error(state.error());
  if (!arguments.workspace.empty()) co_return prune_workspace(*state, arguments.workspace);
  int code = exit_success;
  const auto failed = [&](const Error& error) {
    print_error(error);
    code = exit_system;
  };
  if (const auto salvaged = co_await salvage_dead_jobs(*state, cancellation); !salvaged)
    failed(salvaged.error());
  const auto jobs = list_jobs(*state);
  if (!jobs) co_return print_error(jobs.error());
  std::size_t removed = 0;
  std::vector<Descriptor> held;
  const auto now = system_clock::now();
  for (const JobDirectory& job : *jobs) {
    if (cancellation.requested()) co_return exit_canceled;
    const auto gone = prune_job(job, *retention, now);
    if (!gone) failed(gone.error());
    if (gone && *gone) ++removed;
    if (!gone || !*gone)
      for (Descriptor& lock : hold_base(job)) held.push_back(std::move(lock));
  }
  sweep_half_made(*state);
  RepositoryCache cache(state->repositories());
  const auto evicted =
      cache.evict(std::chrono::duration_cast<std::chrono::seconds>(retention->snapshots),
                  retention->snapshot_bytes);
  if (!evicted) failed(evicted.error());
  print(STDERR_FILENO,
        "removed " + std::to_string(removed) + " of " + std::to_string(jobs->size()) + " jobs" +
            (evicted ? ", " + std::to_string(evicted->snapshots) + " snapshots, " +
                           std::to_string(evicted->mirrors) + " repositories; " +
                           format_bytes_rounded(evicted->bytes_kept) + " of snapshots stay"
                     : std::string()) +
            "\n");
  co_return code;
}

}  // namespace

int prune_command(const PruneArguments& arguments) {
  return run_interruptible(
      [&](Cancellation& cancellation) { return prune(arguments, cancellation); }, {});
}

}  // namespace flow_runner::cli
