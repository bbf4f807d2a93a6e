#include "daemon/cli/exec_options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include <CLI/CLI.hpp>

#include "config/network_presets.hpp"
#include "config/ref_name.hpp"
#include "config/units.hpp"
#include "config/variables.hpp"

namespace flow_runner::cli {

namespace {

Error wrong(std::string message) { return {ErrorCode::invalid_input, std::move(message)}; }

Error in_option(const char* option, const Error& error) {
  return wrong(std::string(option) + ": " + error.message);
}

Result<std::pair<std::string, std::string>> read_variable(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos)
    return wrong(
        "--var needs NAME=VALUE; for a secret that is in the environment use --secret NAME");
  std::string name = word.substr(0, equals);
  if (!is_variable_name(name))
    return wrong("--var: a name has letters, digits and _ only, at most 255");
  return std::pair(std::move(name), word.substr(equals + 1));
}

Result<TextSource> read_text_source(const char* option, const std::optional<std::string>& text,
                                    const std::optional<std::string>& file) {
  if (text && file)
    return wrong(std::string(option) + " and " + option + "-file cannot both be given");
  if (file && file->empty()) return wrong(std::string(option) + "-file needs a path, or -");
  return TextSource{.text = text, .file = file.value_or("")};
}

Result<std::optional<PullPolicy>> read_pull(const std::string& word) {
  if (word.empty()) return std::optional<PullPolicy>();
  if (word == "always") return std::optional(PullPolicy::always);
  if (word == "if-not-present") return std::optional(PullPolicy::if_not_present);
  if (word == "never") return std::optional(PullPolicy::never);
  return wrong("--pull is always, if-not-present or never, not \"" + word + "\"");
}

Result<void> read_network(const ExecArguments& arguments, ExecOptions& options) {
  if (!arguments.network.empty()) {
    const auto mode = network_mode_from(arguments.network);
    if (!mode) return wrong("--network is none, proxy or host, not \"" + arguments.network + "\"");
    options.network = *mode;
    options.network_given = true;
  }
  const bool entries = !arguments.network_allow.empty() || !arguments.network_deny.empty();
  if (entries && options.network != NetworkMode::proxy)
    return wrong("--network-allow and --network-deny are the proxy's, and --network " +
                 arguments.network + " has none: leave them out, or say --network proxy");
  for (const std::string& entry : arguments.network_allow) {
    // What a preset stands for is known with the job; whether an entry can be read is known now.
    const auto checked = expand_network_entry(entry, "--network-allow", {}, {});
    if (!checked) return wrong("--network-allow " + entry + ": " + checked.error().message);
    options.network_allow.push_back(entry);
  }
  for (const std::string& entry : arguments.network_deny) {
    auto rule = parse_network_rule(entry, "--network-deny");
    if (!rule) return wrong("--network-deny " + entry + ": " + rule.error().message);
    options.network_deny.push_back(std::move(*rule));
  }
  return {};
}

template <class Number>
Result<std::optional<Number>> read_number(const char* option, const std::string& word, Number least,
                                          Number most, const char* example) {
  if (word.empty()) return std::optional<Number>();
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  // Written so that "nan" is out of range too.
  if (error != std::errc() || end != word.data() + word.size() ||
      !(value >= least && value <= most))
    return wrong(std::string(option) + " needs a number such as " + example + ", not \"" + word +
                 "\"");
  return std::optional(value);
}

Result<void> read_limits(const ExecArguments& arguments, ExecOptions& options) {
  if (!arguments.memory.empty()) {
    const auto bytes = parse_bytes(arguments.memory);
    if (!bytes) return in_option("--memory", bytes.error());
    if (*bytes < (16U << 20)) return wrong("--memory: less than 16MiB runs no container");
    options.limits.memory_bytes = *bytes;
  }
  FR_TRY(options.limits.cpus, read_number<double>("--cpus", arguments.cpus, 0.01, 4096, "1.5"));
  FR_TRY(options.limits.pids,
         read_number<std::uint64_t>("--pids", arguments.pids, 4, 4'194'304, "512"));
  if (!arguments.disk.empty()) {
    const auto bytes = parse_bytes(arguments.disk);
    if (!bytes) return in_option("--disk", bytes.error());
    if (*bytes < (1U << 20)) return wrong("--disk: less than 1MiB holds no workspace");
    options.limits.disk_bytes = *bytes;
  }
  if (!arguments.timeout.empty()) {
    const auto timeout = parse_duration(arguments.timeout);
    if (!timeout) return in_option("--timeout", timeout.error());
    if (timeout->count() <= 0) return wrong("--timeout must be longer than nothing");
    options.timeout = *timeout;
  }
  return {};
}

Result<void> read_publication(const ExecArguments& arguments, ExecOptions& options) {
  if (arguments.push && arguments.push_local)
    return wrong(
        "--push and --push-local cannot both be given: one pushes to the remote, the other "
        "makes a branch in the local repository");
  if (arguments.push) options.publish = PublishMode::remote;
  if (arguments.push_local) options.publish = PublishMode::local;
  if (!arguments.workload_ref.empty()) {
    const auto ref = full_ref(arguments.workload_ref);
    if (!ref) return in_option("--workload-ref", ref.error());
  }
  if (arguments.include_uncommitted && !arguments.ref.empty())
    return wrong(
        "--include-uncommitted starts from the work tree and --ref from a commit: give one "
        "of them");
  if (arguments.include_uncommitted) options.dirty = DirtyTree::included;
  if (arguments.with_git_token) options.git_token = GitToken::injected;
  return {};
}

}  // namespace

Result<std::vector<std::string>> read_required_layers(const std::string& words) {
  constexpr std::array known = {"cgroup_memory", "cgroup_pids", "cgroup_cpu"};
  if (words.empty() || words == "all") return std::vector<std::string>{"all"};
  std::vector<std::string> layers;
  if (words == "none") return layers;
  std::stringstream stream(words);
  for (std::string layer; std::getline(stream, layer, ',');) {
    if (std::find(known.begin(), known.end(), layer) == known.end())
      return wrong(
          "--sandbox-require takes all, none or a list of cgroup_memory, cgroup_pids, cgroup_cpu; "
          "every other layer is required always");
    layers.push_back(layer);
  }
  return layers;
}

void add_exec_options(CLI::App& app, ExecArguments& a) {
  app.add_option("FLOW", a.flow, "flow file; default: the only one in .gitlab/duo/flows/");

  const char* where = "Repository";
  app.add_option("--repo", a.repo, "folder or https address; default: the current repository")
      ->type_name("DIR|URL")
      ->group(where);
  app.add_option("--ref", a.ref,
                 "branch, tag or commit to start from; default: HEAD, and for a "
                 "folder its uncommitted files too")
      ->type_name("REF")
      ->group(where);
  app.add_option("--git-token-from", a.git_token_from,
                 "the secret that fetches and pushes; default: the flow's GITLAB_TOKEN_*, then "
                 "GITLAB_TOKEN")
      ->type_name("NAME")
      ->group(where);
  app.add_option("--ca-file", a.ca_file, "CA certificates to trust beside the system's")
      ->type_name("FILE")
      ->group(where);

  const char* task = "Task";
  app.add_option("--input", a.input, "what the person wrote: AI_FLOW_INPUT")
      ->type_name("TEXT")
      ->group(task);
  app.add_option("--input-file", a.input_file, "the same from a file, - is standard input")
      ->type_name("FILE|-")
      ->group(task);
  app.add_option("--context", a.context, "AI_FLOW_CONTEXT")->type_name("TEXT")->group(task);
  app.add_option("--context-file", a.context_file, "the same from a file, - is standard input")
      ->type_name("FILE|-")
      ->group(task);
  app.add_option("--event", a.event, "AI_FLOW_EVENT; default: mention")
      ->type_name("NAME")
      ->group(task);
  app.add_option("--from-job", a.from_job,
                 "as an earlier job: its input, context, event, start, image, variables, network "
                 "and limits, unless an option says otherwise; secrets are named again")
      ->type_name("ID|DIR")
      ->group(task);
  app.add_option("--var", a.vars, "a CI/CD variable")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->group(task);
  app.add_option("--secret", a.secrets,
                 "a masked CI/CD variable, from the environment or from a file; never a value here")
      ->type_name("NAME[=@FILE]")
      ->allow_extra_args(false)
      ->group(task);

  const char* sandbox = "Sandbox";
  app.add_option("--image", a.image, "instead of the flow's image")
      ->type_name("NAME")
      ->group(sandbox);
  app.add_option("--pull", a.pull, "always, if-not-present or never")
      ->type_name("POLICY")
      ->group(sandbox);
  app.add_option("--network", a.network,
                 "proxy (default): only what --network-allow names; none; or host: the host's own "
                 "network")
      ->type_name("none|proxy|host")
      ->group(sandbox);
  app.add_option("--network-allow", a.network_allow,
                 "what the job may reach: example.com:443, *.example.com:443, 10.0.0.0/8:5432, or "
                 "a preset: agents, gitlab, registries")
      ->type_name("ENTRY|PRESET")
      ->allow_extra_args(false)
      ->group(sandbox);
  app.add_option("--network-deny", a.network_deny, "what it may not reach, whatever is allowed")
      ->type_name("ENTRY")
      ->allow_extra_args(false)
      ->group(sandbox);
  app.add_option("--memory", a.memory, "such as 4GiB (default)")->type_name("SIZE")->group(sandbox);
  app.add_option("--cpus", a.cpus, "cores, such as 1.5; default: all")
      ->type_name("N")
      ->group(sandbox);
  app.add_option("--sandbox-require", a.sandbox_require,
                 "layers without which the job must not run; default: all")
      ->type_name("all|none|LAYER,…")
      ->group(sandbox);
  app.add_option("--pids", a.pids, "processes and threads; default: 2048")
      ->type_name("N")
      ->group(sandbox);
  app.add_option("--disk", a.disk, "what the job may write, such as 10GiB (default)")
      ->type_name("SIZE")
      ->group(sandbox);
  app.add_option("--timeout", a.timeout, "such as 30m; default: 2h")
      ->type_name("TIME")
      ->group(sandbox);

  const char* result = "Result";
  app.add_flag("--push", a.push, "push the changes; else it is a dry run: the diff goes to stdout")
      ->group(result);
  app.add_flag("--push-local", a.push_local, "make a branch in the local repository instead")
      ->group(result);
  app.add_option("--workload-ref,--branch", a.workload_ref,
                 "branch or full ref to publish to; default: workloads/<11 hex>")
      ->type_name("REF")
      ->group(result);
  app.add_flag("--include-uncommitted", a.include_uncommitted,
               "start from uncommitted files too when pushing")
      ->group(result);
  app.add_flag("--with-git-token", a.with_git_token,
               "give the script the git token in a dry run too")
      ->group(result);
  app.add_flag("--keep", a.keep, "leave the workspace where it is, to look at it afterwards")
      ->group(result);
  app.add_flag("--shell", a.shell, "a shell of yours in the sandbox instead of the flow's commands")
      ->group(result);
  app.add_flag("--shell-on-failure", a.shell_on_failure, "the same after them, when they failed")
      ->group(result);
  app.add_flag("--plan", a.plan, "show what would run, and start nothing")->group(result);
  app.add_flag("--json", a.json, "the result as one JSON object on stdout")->group(result);
  app.add_option("--state-dir", a.state_dir, "where images, repositories and jobs are kept")
      ->type_name("DIR")
      ->group(result);
  app.add_flag("-v,--verbose", a.verbose, "say more")->group(result);
}

bool is_event_name(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Result<SecretSource> read_secret_option(const std::string& word) {
  const auto equals = word.find('=');
  const std::string name = word.substr(0, equals);
  // The name is not repeated either: a value pasted in its place would be.
  if (!is_variable_name(name))
    return wrong("--secret needs NAME or NAME=@FILE; a name has letters, digits and _ only");
  if (equals == std::string::npos) return SecretSource{.name = name, .file = {}};
  if (word.size() < equals + 3 || word[equals + 1] != '@')
    return wrong("--secret " + name +
                 "=… is refused: a value on the command line is seen by every process and stays in "
                 "the shell's history. Export it and say --secret " +
                 name + ", or put it into a file and say --secret " + name +
                 "=@FILE; what was typed should be replaced at its issuer");
  return SecretSource{.name = name, .file = word.substr(equals + 2)};
}

Result<ShellUse> read_shell(const ExecArguments& a) {
  if (!a.shell && !a.shell_on_failure) return ShellUse::none;
  if (a.shell && a.shell_on_failure)
    return wrong("--shell comes instead of the commands, --shell-on-failure after them: give one");
  if (a.json) return wrong("a shell and --json would share standard output: give one of them");
  if (a.input_file == "-" || a.context_file == "-")
    return wrong("a shell needs standard input for itself: give the text by a file");
  return a.shell ? ShellUse::instead : ShellUse::on_failure;
}

Result<ExecOptions> read_exec_options(const ExecArguments& a) {
  if (a.plan && a.json) return wrong("--plan has no result for --json: give one of them");
  ExecOptions options;
  options.flow = a.flow;
  options.repo = a.repo;
  options.ref = a.ref;
  options.workload_ref = a.workload_ref;
  options.from_job = a.from_job;
  options.git_token_from = a.git_token_from;
  options.image = a.image;
  options.ca_file = a.ca_file;
  options.state_dir = a.state_dir;
  FR_TRY(options.input, read_text_source("--input", a.input, a.input_file));
  FR_TRY(options.context, read_text_source("--context", a.context, a.context_file));
  if (options.input.file == "-" && options.context.file == "-")
    return wrong("standard input can be read only once: --input-file - or --context-file -");
  options.event_given = !a.event.empty();
  if (options.event_given) options.event = a.event;
  if (!is_event_name(options.event))
    return wrong("--event is a name such as mention or assign_reviewer");
  for (const std::string& word : a.vars) {
    FR_TRY(auto variable, read_variable(word));
    options.variables.push_back(std::move(variable));
  }
  for (const std::string& word : a.secrets) {
    FR_TRY(SecretSource secret, read_secret_option(word));
    options.secrets.push_back(std::move(secret));
  }
  if (!a.git_token_from.empty() && !is_variable_name(a.git_token_from))
    return wrong("--git-token-from needs the name of a secret, never a token");
  if (a.keep) options.keep = KeepWorkspace::yes;
  FR_TRY(options.shell, read_shell(a));
  FR_TRY(options.pull, read_pull(a.pull));
  FR_TRY(options.required_layers, read_required_layers(a.sandbox_require));
  FR_CHECK(read_network(a, options));
  FR_CHECK(read_limits(a, options));
  FR_CHECK(read_publication(a, options));
  return options;
}

}  // namespace flow_runner::cli
