#include <unistd.h>

#include "daemon/cli/console.hpp"
#include "daemon/cli/job_commands.hpp"
#include "daemon/cli/result_view.hpp"
#include "daemon/cli/terminal_text.hpp"
#include "executor/git_protocol.hpp"
#include "executor/git_worker.hpp"
#include "executor/kept_changes.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;

namespace {

// Writes a patch to stdout as it comes; on a terminal through TerminalText.
class PatchPrinter final : public ContentSink {
 public:
  void begin(ContentKind, std::string_view, std::string_view, std::uint64_t) override {}
  void bytes(std::string_view piece) override {
    if (!terminal_) return print(STDOUT_FILENO, piece);
    std::string shown;
    filter_.write(piece, shown);
    print(STDOUT_FILENO, shown);
  }

 private:
  bool terminal_ = ::isatty(STDOUT_FILENO) == 1;
  TerminalText filter_{TerminalColours::removed};
};

asio::awaitable<int> show_diff(const StateDirectory& state, const JobDirectory& directory,
                               const JobResult& result, Cancellation& cancellation) {
  if (!result.patch.empty()) {
    if (const auto shown = print_file(directory.patch_file()); !shown)
      co_return print_error(shown.error());
    co_return exit_success;
  }
  // Named, not a temporary: g++ 12 destroys an aggregate within a co_await expression twice.
  const GitContext plain;
  const auto kept = co_await KeptChanges::open(state, directory, plain, cancellation);
  if (!kept) co_return print_error(kept.error());
  print(
      STDERR_FILENO,
      "this diff is made from the kept bundle: secrets that the job wrote are not masked in it\n");
  DiffRequest request;
  request.repository = kept->repository();
  request.old_commit = result.base;
  request.new_commit = result.commit;
  PatchPrinter printer;
  GitWorkerOptions worker;
  worker.program = git_worker_program();
  worker.content = &printer;
  const auto done = co_await run_git_worker("diff", to_json(request), worker, cancellation);
  if (!done) co_return print_error(done.error());
  co_return exit_success;
}

asio::awaitable<int> show(const ShowArguments& arguments, Cancellation& cancellation) {
  const auto state = open_state(arguments.state_dir);
  if (!state) co_return print_error(state.error());
  const auto directory = find_job(*state, arguments.id);
  if (!directory) co_return print_error(directory.error());
  const auto result = directory->read_result();
  if (!result) co_return print_error(result.error());
  if (!*result) {
    print(STDERR_FILENO, "the job " + directory->id() + " has not finished; its log: " +
                             directory->log_file().string() + "\n");
    co_return exit_failed;
  }
  if (arguments.diff) co_return co_await show_diff(*state, *directory, **result, cancellation);
  print(STDOUT_FILENO, result_details(**result));
  co_return exit_success;
}

}  // namespace

int show_command(const ShowArguments& arguments) {
  return run_interruptible(
      [&](Cancellation& cancellation) { return show(arguments, cancellation); }, {});
}

}  // namespace flow_runner::cli
