#include "executor/repository_cache.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include "config/encoding.hpp"
#include "executor/git_command.hpp"
#include "executor/git_worker.hpp"
#include "executor/repository_folder.hpp"
#include "executor/repository_refs.hpp"

namespace flow_runner {
namespace {

using std::chrono::steady_clock;
constexpr std::chrono::milliseconds max_access_check = std::chrono::minutes(2);

/// One preparation: what its steps share.
struct Preparation {
  const RepositorySpec& spec;
  const RepositoryOptions& options;
  Cancellation& cancellation;
  RemoteUrl url;
  GitContext context;
  steady_clock::time_point deadline;
  RepositoryFolder folder;
  std::vector<Descriptor> locks;

  [[nodiscard]] std::chrono::milliseconds time_left() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
  }
  [[nodiscard]] Credential credential() const { return {spec.username, spec.token}; }
  void say(std::string_view line) const {
    if (options.on_progress) options.on_progress(line);
  }
  [[nodiscard]] GitWorkerOptions worker() const {
    GitWorkerOptions worker_options;
    worker_options.program = options.git_worker;
    worker_options.deadline = std::max(time_left(), std::chrono::milliseconds(1));
    return worker_options;
  }
};

asio::awaitable<Result<Descriptor>> lock_or_fail(Preparation& work, std::filesystem::path path,
                                                 LockMode mode) {
  const auto on_wait = [&work] {
    work.say("waiting for another job that prepares the same repository");
  };
  FR_CO_TRY(auto lock, co_await lock_path(path, mode, work.deadline, work.cancellation, on_wait));
  if (!lock)
    co_return Error{ErrorCode::internal, path.string() + " has gone while it was being used"};
  co_return std::move(*lock);
}

/// The shared lock on the repository's folder, which keeps it from being evicted, and all of its
/// parts.
asio::awaitable<Result<void>> open_folder(Preparation& work) {
  // The folder may be evicted between being made and being locked; not eight times in a row.
  for (int attempt = 0; attempt < 8; ++attempt) {
    std::error_code error;
    std::filesystem::create_directories(work.folder.path(), error);
    if (error) co_return errno_error("cannot make " + work.folder.path().string(), error.value());
    FR_CO_TRY(auto lock, co_await lock_path(work.folder.path(), LockMode::shared, work.deadline,
                                            work.cancellation, {}));
    if (!lock) continue;
    // The last use, for evict().
    ::futimens(lock->get(), nullptr);
    work.locks.push_back(std::move(*lock));
    co_return work.folder.create();
  }
  co_return Error{ErrorCode::unavailable,
                  work.folder.path().string() + " is removed as often as it is made; try again"};
}

/// Fetches commits by their names: a ref might have moved since it was listed.
asio::awaitable<Result<void>> fetch(Preparation& work, std::vector<std::string> commits) {
  GitCommand command;
  command.git_dir = work.folder.mirror();
  command.remote = work.url;
  command.credential = work.credential();
  command.deadline = work.time_left();
  command.arguments = {"fetch",
                       "--progress",
                       "--no-tags",
                       "--no-write-fetch-head",
                       "--no-auto-maintenance",
                       "--no-recurse-submodules",
                       "--force"};
  // A smaller depth than an earlier one's would move the boundary of histories that are in use.
  const int depth = work.spec.depth == 0 ? 0 : std::max(work.spec.depth, work.folder.deepest());
  if (depth > 0)
    command.arguments.push_back("--depth=" + std::to_string(depth));
  else if (work.folder.shallow())
    command.arguments.emplace_back("--unshallow");
  // A developer's own clone may be shallow.
  if (work.url.local()) command.arguments.emplace_back("--update-shallow");
  command.arguments.push_back(work.url.text());
  for (const auto& commit : commits)
    command.arguments.push_back(commit + ":" + RepositoryFolder::history_ref(commit, depth));
  work.say("fetching " + printable(work.url.text()));
  FR_CO_CHECK(co_await run_git_checked(std::move(command), work.context, work.cancellation));
  co_return Result<void>();
}

/// Shared locks on the snapshot and its base; absent: one of them is not there.
asio::awaitable<Result<std::optional<SnapshotInfo>>> hold_snapshot(
    Preparation& work, const std::string& commit, std::vector<std::filesystem::path>& layers) {
  const auto path = work.folder.snapshot(commit);
  FR_CO_TRY(auto lock,
            co_await lock_path(path, LockMode::shared, work.deadline, work.cancellation, {}));
  if (!lock) co_return std::optional<SnapshotInfo>();
  FR_CO_TRY(auto info, work.folder.read_snapshot(commit));
  if (!info) co_return std::optional<SnapshotInfo>();
  Descriptor base;
  if (!info->base_commit.empty()) {
    const auto base_path = work.folder.snapshot(info->base_commit);
    FR_CO_TRY(auto base_lock, co_await lock_path(base_path, LockMode::shared, work.deadline,
                                                 work.cancellation, {}));
    if (!base_lock) co_return std::optional<SnapshotInfo>();
    FR_CO_TRY(const auto base_info, work.folder.read_snapshot(info->base_commit));
    if (!base_info || !base_info->base_commit.empty()) co_return std::optional<SnapshotInfo>();
    base = std::move(*base_lock);
    ::futimens(base.get(), nullptr);
    layers.push_back(base_path / "tree");
    work.locks.push_back(std::move(base));
  }
  ::futimens(lock->get(), nullptr);
  layers.push_back(path / "tree");
  work.locks.push_back(std::move(*lock));
  co_return info;
}

/// Puts away what lies in the snapshot's place and is none. Needs the fetch lock.
asio::awaitable<Result<void>> clear_place(Preparation& work, const std::string& commit) {
  const auto path = work.folder.snapshot(commit);
  FR_CO_TRY(auto lock,
            co_await lock_path(path, LockMode::exclusive, work.deadline, work.cancellation, {}));
  if (!lock) co_return Result<void>();
  // evict() removes it: that may take a while.
  const auto aside = name_aside(path);
  if (::rename(path.c_str(), aside.c_str()) != 0)
    co_return errno_error("cannot put " + path.string() + " aside");
  co_return Result<void>();
}

/// Makes the snapshot, as a delta on the full one that was used last if there is any. Needs the
/// fetch lock.
asio::awaitable<Result<void>> make_snapshot(Preparation& work, const std::string& commit) {
  FR_CO_CHECK(co_await clear_place(work, commit));
  SnapshotRequest request;
  request.mirror = work.folder.mirror();
  request.commit = commit;
  request.directory = work.folder.snapshot(commit);
  Descriptor base_lock;
  FR_CO_TRY(const auto known, work.folder.list_snapshots());
  for (const auto& candidate : known) {
    if (!candidate.info.base_commit.empty()) continue;
    FR_CO_TRY(LockAttempt attempt, try_lock(candidate.path, LockMode::shared));
    if (attempt.outcome != LockOutcome::held) continue;
    base_lock = std::move(attempt.lock);
    request.base = candidate.path;
    break;
  }
  // Before the snapshot: a crash in between leaves a ref too many, not one too few.
  FR_CO_CHECK(work.folder.keep(commit));
  auto options = work.worker();
  options.on_progress = [&work](std::string_view text, std::uint64_t, std::uint64_t) {
    work.say(printable(text));
  };
  FR_CO_CHECK(co_await run_git_worker("snapshot", to_json(request), options, work.cancellation));
  co_return Result<void>();
}

asio::awaitable<Result<CaptureInfo>> capture(Preparation& work) {
  CaptureRequest request;
  request.mirror = work.folder.mirror();
  request.repository = work.url.path;
  FR_CO_TRY(const nlohmann::json answer,
            co_await run_git_worker("capture", to_json(request), work.worker(), work.cancellation));
  FR_CO_TRY(CaptureInfo info, from_json<CaptureInfo>(answer));
  if (!is_commit_id(info.commit) || !is_commit_id(info.head))
    co_return Error{ErrorCode::internal,
                    "the git worker answered with something that is no commit"};
  co_return info;
}

/// Only when the remote says so for certain.
asio::awaitable<bool> is_empty(Preparation& work) {
  const std::vector<std::string> all(1, "refs/*");
  const auto refs =
      co_await list_remote(work.url, work.credential(), all, work.context, work.cancellation,
                           std::min(work.time_left(), max_access_check));
  co_return refs.has_value() && refs->commits.empty();
}

/// The access check and, with it, what the names mean today.
asio::awaitable<Result<RepositoryTips>> ask_remote(Preparation& work,
                                                   const std::string& workload_ref) {
  FR_CO_TRY(const auto names, names_to_ask(work.spec, workload_ref));
  FR_CO_TRY(const RemoteRefs refs,
            co_await list_remote(work.url, work.credential(), names, work.context,
                                 work.cancellation, std::min(work.time_left(), max_access_check)));
  auto tips = choose_tips(work.spec, workload_ref, refs, printable(work.url.text()));
  if (!tips && tips.error().code == ErrorCode::not_found && refs.commits.empty()) {
    const bool empty = co_await is_empty(work);
    if (empty)
      co_return Error{ErrorCode::not_found, "the repository " + printable(work.url.text()) +
                                                " has no commits: make a first one"};
  }
  co_return tips;
}

/// Brings commits and snapshot into the cache. What is there already costs no lock and no process.
asio::awaitable<Result<void>> provide(Preparation& work, PreparedRepository& prepared) {
  const auto missing = [&] {
    std::set<std::string> commits;
    // The repository that it was captured from could not give it.
    const bool only_here = work.spec.captured_start && work.folder.keeps(prepared.commit);
    if (!only_here) commits.insert(prepared.commit);
    if (prepared.default_tip) commits.insert(*prepared.default_tip);
    if (prepared.workload_tip) commits.insert(*prepared.workload_tip);
    std::vector<std::string> absent;
    for (const auto& commit : commits)
      if (!work.folder.has_history(commit, work.spec.depth)) absent.push_back(commit);
    return absent;
  };

  if (missing().empty() && !work.spec.include_work_tree) {
    FR_CO_TRY(auto info, co_await hold_snapshot(work, prepared.commit, prepared.layers));
    if (info) {
      prepared.snapshot = std::move(*info);
      co_return Result<void>();
    }
  }
  const auto place = work.folder.fetch_lock();
  FR_CO_TRY(const Descriptor lock, co_await lock_or_fail(work, place, LockMode::exclusive));
  if (auto commits = missing(); !commits.empty()) {
    FR_CO_CHECK(co_await fetch(work, std::move(commits)));
    prepared.fetched = true;
  }
  if (work.spec.include_work_tree) {
    FR_CO_TRY(prepared.capture, co_await capture(work));
    prepared.commit = prepared.capture->commit;
  }
  // The second round finds what the first has made, or what another job made while this one waited.
  for (int round = 0; round < 2; ++round) {
    prepared.layers.clear();
    FR_CO_TRY(auto info, co_await hold_snapshot(work, prepared.commit, prepared.layers));
    if (info) {
      prepared.snapshot = std::move(*info);
      co_return Result<void>();
    }
    if (round == 0) FR_CO_CHECK(co_await make_snapshot(work, prepared.commit));
  }
  co_return Error{ErrorCode::internal,
                  "the git worker made no snapshot of " + prepared.commit + " that can be read"};
}

}  // namespace

asio::awaitable<Result<PreparedRepository>> RepositoryCache::prepare(
    const RepositorySpec& spec, const std::string& workload_ref, const std::string& source,
    const RepositoryOptions& options, Cancellation& cancellation) {
  FR_CO_TRY(RemoteUrl url,
            parse_remote_url(spec.url, spec.token.empty() ? TokenGiven::no : TokenGiven::yes));
  if (spec.include_work_tree && !url.local())
    co_return Error{
        ErrorCode::invalid_input,
        "uncommitted files can only be taken from a local folder, not from " + url.text()};
  if (spec.include_work_tree && !spec.ref.empty())
    co_return Error{ErrorCode::invalid_input,
                    "uncommitted files belong to HEAD: leave out --ref, or leave the files out"};
  Preparation work{spec,
                   options,
                   cancellation,
                   url,
                   GitContext{options.ca_file, options.sanitize, options.on_progress},
                   steady_clock::now() + options.deadline,
                   RepositoryFolder(folder(source, url.text())),
                   {}};
  FR_CO_TRY(RepositoryTips tips, co_await ask_remote(work, workload_ref));
  FR_CO_CHECK(co_await open_folder(work));

  PreparedRepository prepared;
  prepared.mirror = work.folder.mirror();
  prepared.commit = std::move(tips.commit);
  prepared.url = url.text();
  prepared.project_path = spec.project_path.empty() ? url.project_path() : spec.project_path;
  prepared.default_branch = std::move(tips.default_branch);
  prepared.default_tip = std::move(tips.default_tip);
  prepared.workload_tip = std::move(tips.workload_tip);
  FR_CO_CHECK(co_await provide(work, prepared));
  prepared.shallow = work.folder.shallow();
  prepared.lease = RepositoryLease(std::move(work.locks));
  co_return prepared;
}

std::filesystem::path RepositoryCache::folder(const std::string& source,
                                              const std::string& url) const {
  constexpr std::size_t max_slug = 40;
  std::string slug;
  for (const char c : url) {
    // No dot: folders with ".tmp-" in their names are left-overs.
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
      slug += c;
    else if (!slug.empty() && slug.back() != '-')
      slug += '-';
  }
  if (slug.size() > max_slug) slug.erase(0, slug.size() - max_slug);
  slug.erase(0, std::min(slug.find_first_not_of('-'), slug.size()));
  return root_ / (slug + "-" + sha256_hex(source + "\n" + url).substr(0, 16));
}

}  // namespace flow_runner
