#include <unistd.h>

#include "daemon/cli/console.hpp"
#include "daemon/cli/job_commands.hpp"
#include "daemon/cli/result_view.hpp"
#include "daemon/cli/terminal_text.hpp"
#include "executor/git_protocol.hpp"
#include "executor/git_worker.hpp"
#include "executor/kept_changes.hpp"
#include "executor/network_summary.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;

namespace {

enum class ShowForm { text, json };

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

// A phase's name from the journal of a job that has not finished.
std::string last_state(const JobDirectory& directory) {
  const auto entries = directory.read_journal();
  return entries && !entries->empty() ? entries->back().state : "accepted";
}

int show_unfinished(const JobDirectory& directory) {
  const auto lock = directory.try_lock();
  const bool dead = lock && *lock;
  print(STDERR_FILENO, "the job " + directory.id() +
                           (dead ? " was killed, and has no result yet (`flow-runner list` makes "
                                   "one of what it left); it had come to: "
                                 : " has not finished; it is at: ") +
                           terminal_text(last_state(directory), TerminalColours::removed) +
                           "; its log: " + directory.log_file().string() + "\n");
  return exit_failed;
}

int show_result(const StateDirectory& state, const JobDirectory& directory, const JobResult& result,
                ShowForm form) {
  const auto network = read_network_summary(directory.network_file());
  if (!network) print_error(network.error());
  const auto known_network = network ? *network : std::nullopt;
  const auto job = directory.read_job();
  const auto journal = directory.read_journal();
  const auto kept = journal ? kept_workspace(directory, *journal) : std::nullopt;
  const JobWork work = job_work(result, job ? &*job : nullptr, state_option(state), kept);
  if (form == ShowForm::text)
    print(STDOUT_FILENO, result_details(result, known_network, work));
  else
    // Escapes alone: it may be shown on a terminal.
    print(STDOUT_FILENO, result_document(result, known_network, work)
                                 .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) +
                             "\n");
  return exit_success;
}

asio::awaitable<int> show(const ShowArguments& arguments, Cancellation& cancellation) {
  if (arguments.diff && arguments.json)
    co_return print_error({ErrorCode::invalid_input,
                           "--diff prints a patch and --json the result: give one of them"});
  const auto state = open_state(arguments.state_dir);
  if (!state) co_return print_error(state.error());
  const auto directory = find_job(*state, arguments.id);
  if (!directory) co_return print_error(directory.error());
  const auto result = directory->read_result();
  if (!result) co_return print_error(result.error());
  if (!*result) co_return show_unfinished(*directory);
  if (arguments.diff) co_return co_await show_diff(*state, *directory, **result, cancellation);
  co_return show_result(*state, *directory, **result,
                        arguments.json ? ShowForm::json : ShowForm::text);
}

}  // namespace

int show_command(const ShowArguments& arguments) {
  return run_interruptible(
      [&](Cancellation& cancellation) { return show(arguments, cancellation); }, {});
}

}  // namespace flow_runner::cli
