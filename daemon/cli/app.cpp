#include "daemon/cli/app.hpp"

#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "config/version.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/doctor_command.hpp"
#include "daemon/cli/exec_command.hpp"
#include "daemon/cli/exec_options.hpp"
#include "daemon/cli/image_command.hpp"
#include "daemon/cli/init_command.hpp"
#include "daemon/cli/job_commands.hpp"
#include "daemon/cli/lint_command.hpp"
#include "daemon/cli/usage.hpp"
#include "executor/executor_process.hpp"
#include "sandbox/rootless.hpp"

namespace flow_runner::cli {

namespace {

constexpr const char* state_help = "where images, repositories and jobs are kept";

struct Commands {
  ExecArguments exec;
  ListArguments list;
  ShowArguments show;
  ApplyArguments apply;
  PublishArguments publish;
  PruneArguments prune;
  InitArguments init;
  DoctorArguments doctor;
  std::function<int()> chosen;
  std::function<int()> chosen_outside;  ///< one that works on text alone, and needs no sandbox
};

void add_state_option(CLI::App& app, std::string& state_dir) {
  app.add_option("--state-dir", state_dir, state_help)->type_name("DIR");
}

void add_id(CLI::App& app, std::string& id) {
  app.add_option("ID", id, "a job's id, or its beginning")->required();
}

void add_job_commands(CLI::App& app, Commands& c) {
  auto* list = app.add_subcommand("list", "List the jobs in the state folder");
  add_state_option(*list, c.list.state_dir);
  list->callback([&c] { c.chosen = [&c] { return list_command(c.list); }; });

  auto* show = app.add_subcommand("show", "Show what a job did");
  add_id(*show, c.show.id);
  show->add_flag("--diff", c.show.diff, "its changes as a patch");
  show->add_flag("--json", c.show.json, "the result as one JSON object, with network and work");
  add_state_option(*show, c.show.state_dir);
  show->callback([&c] { c.chosen = [&c] { return show_command(c.show); }; });

  auto* apply = app.add_subcommand("apply", "Bring a job's kept changes into a work tree");
  add_id(*apply, c.apply.id);
  apply->add_option("--repo", c.apply.repo, "the work tree; default: the job's, else the current")
      ->type_name("DIR");
  add_state_option(*apply, c.apply.state_dir);
  apply->callback([&c] { c.chosen = [&c] { return apply_command(c.apply); }; });

  auto* publish = app.add_subcommand("publish", "Push a job's kept changes");
  add_id(*publish, c.publish.id);
  publish->add_option("--to", c.publish.to, "default: where the job would have pushed")
      ->type_name("DIR|URL");
  publish->add_option("--workload-ref,--branch", c.publish.workload_ref, "default: the job's")
      ->type_name("REF");
  publish->add_option("--secret", c.publish.secrets, "the git token's variable")
      ->type_name("NAME[=@FILE]")
      ->allow_extra_args(false);
  publish
      ->add_option("--git-token-from", c.publish.git_token_from,
                   "which secret pushes; default: GITLAB_TOKEN")
      ->type_name("NAME");
  publish
      ->add_option("--ca-file", c.publish.ca_file, "CA certificates to trust beside the system's")
      ->type_name("FILE");
  publish->add_flag("--override-guard", c.publish.override_guard,
                    "publish what the guard refused, or could not look at");
  publish->add_flag("--include-uncommitted", c.publish.include_uncommitted,
                    "publish the uncommitted files that the job started from too");
  add_state_option(*publish, c.publish.state_dir);
  publish->callback([&c] { c.chosen = [&c] { return publish_command(c.publish); }; });

  auto* prune = app.add_subcommand("prune", "Remove old jobs, snapshots and left-overs");
  prune
      ->add_option("--older-than", c.prune.older_than,
                   "such as 2d; default: jobs 14d, unpublished changes 30d, snapshots 7d")
      ->type_name("AGE");
  prune->add_flag("--unpublished", c.prune.unpublished,
                  "also remove changes of that age that were never published");
  prune->add_option("--workspace", c.prune.workspace, "remove only what --keep left of this job")
      ->type_name("ID");
  add_state_option(*prune, c.prune.state_dir);
  prune->callback([&c] { c.chosen = [&c] { return prune_command(c.prune); }; });
}

CLI::App* add_doctor_command(CLI::App& app, Commands& c) {
  auto* doctor =
      app.add_subcommand("doctor", "Say what this host offers to jobs and what it lacks");
  doctor->add_flag("--probe", c.doctor.probe, "also try to get out of a real sandbox");
  doctor->add_flag("--self-check", c.doctor.self_check,
                   "also show that each probe notices when its layer is gone; implies --probe");
  doctor->add_option("--network", c.doctor.network, "of the sandbox that is tried; default: proxy")
      ->type_name("none|proxy");
  doctor
      ->add_option("--sandbox-require", c.doctor.required_layers,
                   "layers without which nothing is tried; default: all")
      ->type_name("all|none|LAYER,…");
  doctor->add_flag("--json", c.doctor.json, "the report as JSON");
  add_state_option(*doctor, c.doctor.state_dir);
  doctor->callback([&c] { c.chosen = [&c] { return doctor_command(c.doctor); }; });
  return doctor;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  if (const auto chosen = app.get_subcommands(); !chosen.empty()) command = chosen.front();
  std::string message = error.what();
  // CLI11 would repeat the words, and one of them may be a secret.
  const bool extras = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  if (extras) message = unexpected_words(command->remaining(true), option_names(*command));
  if (command == &app && (extras || app.get_subcommands().empty())) {
    std::vector<std::string> names;
    for (const CLI::App* candidate : app.get_subcommands([](const CLI::App*) { return true; }))
      names.push_back(candidate->get_name());
    const auto words = app.remaining();
    if (!words.empty() && !words.front().starts_with('-')) {
      const std::string meant = nearest(words.front(), names);
      message = "there is no such command" +
                (meant.empty() ? std::string() : "; did you mean " + meant + "?");
    }
  }
  const std::string name = command == &app ? "" : " " + command->get_name();
  print_error({ErrorCode::invalid_input, message + "\nflow-runner" + name + " --help explains"});
  return exit_usage;
}

int run_command(int argc, char** argv) {
  CLI::App app("Runs AI coding agents as jobs in containers", "flow-runner");
  app.set_version_flag("--version", "flow-runner " + std::string(version()));
  app.require_subcommand(1);
  Commands commands;
  auto* exec = app.add_subcommand("exec", "Run a flow here; a dry run unless --push");
  add_exec_options(*exec, commands.exec);
  exec->callback([&] { commands.chosen = [&] { return exec_command(commands.exec); }; });
  auto* init = app.add_subcommand("init", "Write a flow for an agent into the repository");
  add_init_options(*init, commands.init);
  init->callback([&] { commands.chosen_outside = [&] { return init_command(commands.init); }; });
  add_job_commands(app, commands);
  add_image_command(app, commands.chosen);
  const auto* doctor = add_doctor_command(app, commands);
  add_lint_command(app, commands.chosen_outside);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& call) {
    return app.exit(call);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  if (commands.chosen_outside) return commands.chosen_outside();
  // Once the command line is known to be right, and before anything is read or made.
  if (const auto entered = enter_user_namespace(argv); !entered) {
    if (!doctor->parsed()) return print_error(entered.error());
    commands.doctor.no_user_namespace = entered.error();
  }
  return commands.chosen();
}

}  // namespace

int run(int argc, char** argv) {
  try {
    // Before anything else: it is started for every job, and no thread may exist yet.
    if (argc >= 2 && std::string_view(argv[1]) == "job-executor")
      return executor_main(std::vector<std::string>(argv + 2, argv + argc));
    return run_command(argc, argv);
  } catch (const std::exception& error) {
    return print_error({ErrorCode::internal, std::string("internal error: ") + error.what()});
  }
}

}  // namespace flow_runner::cli
