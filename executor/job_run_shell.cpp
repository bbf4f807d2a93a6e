#include <boost/asio/experimental/awaitable_operators.hpp>

#include "config/units.hpp"
#include "executor/job_environment.hpp"
#include "executor/job_run.hpp"
#include "executor/shell_relay.hpp"

namespace flow_runner {

Result<std::string> JobRun::find_shell() const {
  const ImageFiles files(image_->layers);
  auto shell = files.find_program(
      {"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh", "/usr/bin/sh"});
  if (shell && !shell->empty()) return *shell;
  return Error{ErrorCode::invalid_input,
               "image " + image_->name + " has neither bash nor sh; commands need a shell"};
}

SandboxCommand JobRun::shell_command(std::vector<std::string> argv) const {
  SandboxCommand command;
  command.argv = std::move(argv);
  command.environment = build_environment(
      job_, variables_, {image_->env, user_.home, record_.owner_uid, record_.owner_gid},
      project_directory());
  command.working_directory = project_directory();
  command.grace = job_.limits.grace;
  return command;
}

Error JobRun::stopped_by(StopCause cause, const std::optional<DiskExhaustion>& disk) const {
  std::string text = "the job was cancelled";
  if (cause == StopCause::resource_exhausted && disk) text = describe(*disk);
  if (cause == StopCause::timeout)
    text = "the job was stopped after its time limit of " + format_duration(job_.limits.timeout);
  if (cause == StopCause::runner_interrupted)
    text = "the program that had started the job went away";
  return {ErrorCode::cancelled, std::move(text)};
}

asio::awaitable<void> JobRun::leave_sandbox() {
  co_await stop_proxy();
  // What follows lies outside the limit, or is ours.
  if (const auto lifted = disk_->lift(); !lifted) warn(lifted.error().message);
}

JobRun::Stage JobRun::run_shell() {
  using namespace asio::experimental::awaitable_operators;
  const Stopwatch watch;
  const auto program = find_shell();
  if (!program) co_return fail(JobCause::image_refused, program.error());
  journal("shell");
  say("A shell in the job's sandbox; the flow's commands are in " +
      std::string(job_files_in_container) + "/script. What it shows is not in this log.");
  const auto executor = co_await asio::this_coro::executor;
  ShellRelay relay(executor, Descriptor(context_.shell_fd), patterns_);
  SandboxCommand command = shell_command({*program});
  std::erase_if(command.environment,
                [](const std::string& entry) { return entry.starts_with("TERM="); });
  command.environment.push_back("TERM=" + context_.options.terminal);
  command.on_terminal = [&](Descriptor master) { relay.open(std::move(master)); };
  // An interactive shell ignores TERM; that its terminal is gone it does not.
  const auto on_request = cancellation_.on_request([&](StopCause) { relay.hang_up(); });
  // After a script it goes on.
  if (!shell_next_)
    disk_->watch(
        [this](const DiskExhaustion&) { cancellation_.request(StopCause::resource_exhausted); });
  const auto run_and_finish = [&]() -> asio::awaitable<Result<SandboxExit>> {
    auto exit = co_await sandbox_->run(std::move(command), cancellation_);
    relay.finish();
    co_return exit;
  };
  const Result<SandboxExit> exit = co_await (run_and_finish() && relay.run());
  result_.timings.script_ms = result_.timings.script_ms.value_or(0) + watch.milliseconds();
  const auto disk_full = disk_->full();
  co_await leave_sandbox();
  if (!exit) co_return fail(JobCause::sandbox_refused, exit.error());
  warn_of_limits(*exit);
  journal("shell_ended", {{"exit_code", exit->status.code}});
  say("The shell ended with exit code " + std::to_string(exit->status.code));
  if (const auto stop = cancellation_.requested())
    co_return fail(cause_of(*stop), stopped_by(*stop, disk_full));
  // A person's shell ends with whatever its last command did: that is no failure of the job.
  co_return true;
}

}  // namespace flow_runner
