#include "daemon/cli/exec_command.hpp"

#include <chrono>
#include <memory>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <boost/asio/this_coro.hpp>

#include "config/registry_addresses.hpp"
#include "config/variables.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/earlier_job.hpp"
#include "daemon/cli/exec_inputs.hpp"
#include "daemon/cli/exec_job.hpp"
#include "daemon/cli/exec_view.hpp"
#include "daemon/cli/plan.hpp"
#include "daemon/cli/result_view.hpp"
#include "daemon/cli/shell_client.hpp"
#include "daemon/cli/terminal_text.hpp"
#include "executor/executor_client.hpp"
#include "executor/git_worker.hpp"
#include "executor/masker.hpp"
#include "sandbox/temporary_folder.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

Result<std::uint64_t> random_bits() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) return errno_error("no random numbers");
  return bits;
}

// Prints what the flow file has to say for itself.
Result<Flow> load_checked_flow(const fs::path& path) {
  FlowFile file = load_flow(path);
  for (const Diagnostic& diagnostic : file.diagnostics)
    print(STDERR_FILENO, format_diagnostic(path.string(), diagnostic) + "\n");
  if (!file.flow)
    return Error{ErrorCode::invalid_input, "the flow file " + path.string() + " has mistakes"};
  return std::move(*file.flow);
}

Result<ExecInputs> read_inputs(const ExecArguments& arguments, ExecOptions& options) {
  ExecInputs inputs;
  if (!options.from_job.empty()) {
    FR_TRY(const EarlierJob earlier, read_earlier_job(options.from_job, arguments.state_dir));
    Adoption adoption = adopt(earlier, options);
    inputs.warnings = std::move(adoption.warnings);
    print(STDERR_FILENO, terminal_text(adoption.note, TerminalColours::removed) + "\n");
  }
  if (!is_address(options.repo)) {
    fs::path start = options.repo.empty() ? fs::path(".") : fs::path(options.repo);
    if (options.repo.starts_with("file://")) start = options.repo.substr(7);
    FR_TRY(inputs.local, find_repository(start));
  }
  FR_TRY(const fs::path flow_path, find_flow(options, inputs.local));
  FR_TRY(inputs.flow, load_checked_flow(flow_path));
  FR_TRY(inputs.input, read_text(options.input, "--input-file"));
  FR_TRY(inputs.context, read_text(options.context, "--context-file"));
  FR_TRY(inputs.secrets, read_secrets(options));
  FR_TRY(inputs.chance, random_bits());
  inputs.now = std::chrono::system_clock::now();
  if (names_registries(options, inputs.flow)) inputs.registries = registry_rules();
  return inputs;
}

Result<void> check_ca_file(ExecOptions& options) {
  if (options.ca_file.empty()) return {};
  std::error_code error;
  options.ca_file = fs::absolute(options.ca_file, error);
  FR_TRY(const std::string text, read_file(options.ca_file, 16 << 20));
  if (text.find("-----BEGIN CERTIFICATE-----") == std::string::npos &&
      text.find("-----BEGIN TRUSTED CERTIFICATE-----") == std::string::npos)
    return Error{ErrorCode::invalid_input,
                 "--ca-file " + options.ca_file.string() + " holds no PEM certificate"};
  return {};
}

// By the worker's capture into a repository that is thrown away: `git status` would run the filters
// and the file system monitor that the repository's configuration names.
asio::awaitable<Result<void>> refuse_dirty_tree(const ExecOptions& options,
                                                const LocalRepository& local,
                                                Cancellation& cancellation) {
  const bool relevant = options.publish != PublishMode::none &&
                        options.dirty == DirtyTree::refused && options.ref.empty() && !local.bare;
  if (!relevant) co_return Result<void>();
  FR_CO_TRY(const TemporaryFolder scratch,
            TemporaryFolder::make(fs::temp_directory_path(), "flow-runner"));
  std::error_code error;
  fs::create_directories(scratch.path() / "objects", error);
  fs::create_directories(scratch.path() / "refs", error);
  FR_CO_CHECK(replace_file(scratch.path() / "HEAD", "ref: refs/heads/none\n", 0600));
  FR_CO_CHECK(replace_file(scratch.path() / "config",
                           "[core]\n\trepositoryformatversion = 0\n\tbare = true\n", 0600));
  GitWorkerOptions worker;
  worker.program = git_worker_program();
  // Named, not a temporary: g++ 12 destroys an aggregate within a co_await expression twice.
  const CaptureRequest request{.mirror = scratch.path(), .repository = local.folder};
  FR_CO_TRY(auto answer,
            co_await run_git_worker("capture", to_json(request), worker, cancellation));
  FR_CO_TRY(const CaptureInfo info, from_json<CaptureInfo>(answer));
  if (info.dirty_count == 0) co_return Result<void>();
  std::string message = "the work tree has " + std::to_string(info.dirty_count) +
                        " uncommitted file" + (info.dirty_count == 1 ? "" : "s") +
                        ": commit or stash first, or start from them with --include-uncommitted";
  for (const std::string& path : info.dirty_paths) message += "\n  " + path;
  if (info.dirty_count > info.dirty_paths.size()) message += "\n  …";
  co_return Error{ErrorCode::invalid_input, std::move(message)};
}

void print_plan(const ExecJob& prepared) {
  const ResolvedVariables variables = resolve_variables(prepared.job);
  std::vector<MaskedValue> secrets;
  for (const MaskedSource& secret : variables.secrets)
    secrets.push_back({secret.name, secret.value, secret.marked});
  const auto patterns = MaskerPatterns::compile(secrets);
  print(STDOUT_FILENO, mask_text(*patterns, plan_text(prepared.job, variables, prepared.warnings)));
}

void print_result(const ExecArguments& arguments, const Job& job, const JobResult& result) {
  if (arguments.json) {
    print(STDOUT_FILENO, to_json(result).dump() + "\n");
    return;
  }
  if (job.publish.mode != PublishMode::none || result.patch.empty()) return;
  if (const auto shown = print_file(result.patch); !shown) print_error(shown.error());
}

asio::awaitable<int> run_job(const ExecArguments& arguments, const ExecOptions& options,
                             const ExecInputs& inputs, const ExecJob& prepared,
                             std::shared_ptr<ExecView> view, Cancellation& cancellation) {
  const Job& job = prepared.job;
  if (inputs.local) {
    if (const auto clean = co_await refuse_dirty_tree(options, *inputs.local, cancellation); !clean)
      co_return print_error(clean.error());
  }
  const auto state = open_state(arguments.state_dir);
  if (!state) co_return print_error(state.error());
  // What a killed run left behind is taken care of before the next one starts.
  if (const auto salvaged = co_await salvage_dead_jobs(*state, cancellation); salvaged)
    for (const std::string& id : *salvaged)
      view->line("the job " + id + " had been killed; its changes are kept: flow-runner show " +
                 id);
  for (const std::string& warning : prepared.warnings) view->line("warning: " + warning);
  view->start(co_await asio::this_coro::executor, job.id);
  const auto executor = co_await asio::this_coro::executor;
  ExecutorEvents events = view->events();
  events.shell = [&](Descriptor socket) -> asio::awaitable<void> {
    ShellClient client(
        executor, std::move(socket), [&] { view->suspend(); }, [&] { view->resume(); });
    co_await client.run();
  };
  const RunOptions run{options.keep, options.shell, terminal_name()};
  const auto result = co_await run_executor(*state, job, run, cancellation, std::move(events));
  if (!result) {
    view->finish(PhaseEnd::bad);
    print_error(result.error());
    co_return result.error().code == ErrorCode::cancelled ? exit_canceled : exit_system;
  }
  view->finish(result->status == JobStatus::success ? PhaseEnd::good : PhaseEnd::bad);
  print(STDERR_FILENO, exec_summary(*result, job));
  print_result(arguments, job, *result);
  co_return flow_runner::exit_code_for(*result);
}

}  // namespace

int exec_command(const ExecArguments& arguments) {
  auto options = read_exec_options(arguments);
  if (!options) return print_error(options.error());
  if (const auto checked = check_ca_file(*options); !checked) {
    print_error(checked.error());
    return exit_usage;
  }
  if (options->shell != ShellUse::none && !arguments.plan)
    if (const auto terminal = check_shell_terminal(); !terminal)
      return print_error(terminal.error());
  const auto inputs = read_inputs(arguments, *options);
  if (!inputs) {
    print_error(inputs.error());
    return exit_usage;
  }
  const auto prepared = make_exec_job(*options, *inputs);
  if (!prepared) return print_error(prepared.error());
  if (arguments.plan) {
    print_plan(*prepared);
    return exit_success;
  }
  const auto view = std::make_shared<ExecView>(arguments.verbose);
  return run_interruptible(
      [&](Cancellation& cancellation) {
        return run_job(arguments, *options, *inputs, *prepared, view, cancellation);
      },
      [&](int count) { view->interrupted(count); });
}

}  // namespace flow_runner::cli
