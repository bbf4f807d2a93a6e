#include <algorithm>
#include <unistd.h>

#include "config/quoted_path.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/job_commands.hpp"
#include "daemon/cli/local_repository.hpp"
#include "executor/git_protocol.hpp"
#include "executor/git_worker.hpp"
#include "executor/kept_changes.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_shown = 20;

// The named folder, else the one that the job started from, else the one we stand in.
Result<fs::path> find_work_tree(const ApplyArguments& arguments, const Job& job) {
  fs::path start = arguments.repo;
  if (start.empty() && job.repository.url.starts_with('/')) {
    const auto own = find_repository(job.repository.url);
    if (own && !own->bare) return own->folder;
  }
  FR_TRY(const LocalRepository there, find_repository(start.empty() ? fs::path(".") : start));
  if (there.bare)
    return Error{ErrorCode::invalid_input,
                 there.folder.string() + " is bare and has no work tree: name one with --repo DIR"};
  return there.folder;
}

std::string conflict_text(const ApplyInfo& info, const fs::path& work_tree, const std::string& id) {
  std::string text = "the changes do not fit the files in " + work_tree.string() +
                     " as they are now; nothing was touched. In the way:";
  for (std::size_t i = 0; i < std::min(info.conflicts.size(), max_shown); ++i)
    text += "\n  " + quote_path(info.conflicts[i]);
  if (info.conflicts.size() > max_shown) text += "\n  …";
  return text +
         "\nCommit or stash your own changes first, or put the job's on a branch: flow-runner "
         "publish " +
         id;
}

asio::awaitable<int> apply(const ApplyArguments& arguments, Cancellation& cancellation) {
  const auto state = open_state(arguments.state_dir);
  if (!state) co_return print_error(state.error());
  const auto directory = find_job(*state, arguments.id);
  if (!directory) co_return print_error(directory.error());
  // Named, not a temporary: g++ 12 destroys an aggregate within a co_await expression twice.
  const GitContext plain;
  const auto kept = co_await KeptChanges::open(*state, *directory, plain, cancellation);
  if (!kept) co_return print_error(kept.error());
  const auto work_tree = find_work_tree(arguments, kept->job());
  if (!work_tree) co_return print_error(work_tree.error());

  ApplyRequest request;
  request.repository = kept->repository();
  request.old_commit = kept->result().base;
  request.new_commit = kept->result().commit;
  request.work_tree = *work_tree;
  GitWorkerOptions worker;
  worker.program = git_worker_program();
  const auto answer = co_await run_git_worker("apply", to_json(request), worker, cancellation);
  if (!answer) co_return print_error(answer.error());
  const auto info = from_json<ApplyInfo>(*answer);
  if (!info) co_return print_error(info.error());
  if (!info->conflicts.empty()) {
    print_error({ErrorCode::invalid_input, conflict_text(*info, *work_tree, directory->id())});
    co_return exit_failed;
  }
  print(STDERR_FILENO, std::to_string(info->changes.size()) + " file" +
                           (info->changes.size() == 1 ? "" : "s") + " changed in " +
                           work_tree->string() + "; nothing is staged or committed\n");
  co_return exit_success;
}

}  // namespace

int apply_command(const ApplyArguments& arguments) {
  return run_interruptible(
      [&](Cancellation& cancellation) { return apply(arguments, cancellation); }, {});
}

}  // namespace flow_runner::cli
