#include "daemon/cli/init_command.hpp"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <system_error>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "config/reference_flows.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/local_repository.hpp"
#include "daemon/cli/usage.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner::cli {

namespace fs = std::filesystem;

namespace {

constexpr const char* flow_folder = ".gitlab/duo/flows";

/// "claude-code" means claude, as "q" means amazon-q; a slip of the keyboard is the rest.
std::string meant_agent(const std::string& word, const std::vector<std::string>& agents) {
  for (const std::string& agent : agents)
    if (!word.empty() && (word.starts_with(agent) || agent.find(word) != std::string::npos))
      return agent;
  return nearest(word, agents);
}

Result<ReferenceFlow> find_agent(const std::string& word) {
  std::vector<std::string> agents;
  std::string list;
  for (const ReferenceFlow& flow : reference_flows()) {
    if (flow.agent == word) return flow;
    agents.push_back(flow.agent);
    list += (list.empty() ? "" : ", ") + flow.agent;
  }
  if (word.empty())
    return Error{ErrorCode::invalid_input,
                 "name the agent, as in flow-runner init claude; there are " + list};
  const std::string meant = meant_agent(word, agents);
  return Error{ErrorCode::invalid_input,
               "there is no flow for the agent " + word +
                   (meant.empty() ? "" : ", did you mean " + meant + "?") + "; there are " + list};
}

Result<fs::path> target(const InitArguments& arguments, const fs::path& folder) {
  if (!arguments.output.empty()) return (folder / arguments.output).lexically_normal();
  const auto repository = find_repository(folder);
  // A broken repository is said, not passed over.
  if (!repository && repository.error().code != ErrorCode::not_found) return repository.error();
  const fs::path& root = repository && !repository->bare ? repository->folder : folder;
  return root / flow_folder / (arguments.agent + ".yaml");
}

Result<void> write_flow(const fs::path& file, std::string_view text, bool force) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error)
    return Error{ErrorCode::invalid_input,
                 "cannot make the folder " + file.parent_path().string() + ": " + error.message()};
  if (force) return replace_file(file, text, 0644);
  // Made only where nothing is: no look beforehand can promise that.
  const auto made = open_file(file, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (made) return write_all(made->get(), text);
  const auto there = read_file(file, 2 * text.size());
  if (there && *there == text) return {};
  if (fs::symlink_status(file, error).type() == fs::file_type::not_found)
    return Error{ErrorCode::invalid_input, made.error().message};
  return Error{ErrorCode::invalid_input,
               file.string() +
                   " is there already, with other content: --force overwrites it, "
                   "--output FILE writes elsewhere"};
}

constexpr std::string_view variable_advice = R"(
A workload's ref is not protected, so a protected variable would be missing. Masked needs a value
of one line without spaces.

flow-runner itself fetches and pushes, with one more secret that the flow does not list and the
agent does not see:
  GITLAB_TOKEN             a project access token: role Developer, scope write_repository, and an
                           expiry date. No api scope: only what calls GitLab's API needs it

Commit the file to the default branch: GitLab reads flows from there only. Next:

)";
constexpr std::string_view secret_advice = R"(
Each --secret takes its value from the environment, or from a file as NAME=@FILE. That is a dry
run; to publish, add --push --secret GITLAB_TOKEN. Another endpoint than the provider's own needs
a --network-allow HOST:443 of its own.
)";
constexpr std::string_view registry_advice = R"(
registries stands for what this host's npm configuration names; where it names nothing, allow
npm's default by its name.
)";

std::string guide(const FlowNotes& notes, const std::string& file) {
  std::string options, registry;
  for (const std::string& name : notes.required) options += " --secret " + name;
  for (const std::string& entry : notes.network) {
    options += " --network-allow " + entry;
    if (entry == "registries") registry = registry_advice.substr(1);
  }
  return "The flow for " + notes.title + " is in " + file + ".\n\n" + notes.variables +
         std::string(variable_advice) + "  flow-runner lint " + file + "\n  flow-runner exec " +
         file + " --input 'Say hello in the README'" + options + "\n" + std::string(secret_advice) +
         registry;
}

}  // namespace

void add_init_options(CLI::App& app, InitArguments& arguments) {
  app.add_option("AGENT", arguments.agent, "amazon-q, claude, codex, gemini or opencode");
  app.add_option("--output", arguments.output,
                 "default: .gitlab/duo/flows/AGENT.yaml of the repository")
      ->type_name("FILE");
  app.add_flag("--force", arguments.force, "overwrite the file");
}

Result<std::string> init_flow(const InitArguments& arguments, const fs::path& folder) {
  FR_TRY(const ReferenceFlow flow, find_agent(arguments.agent));
  FR_TRY(const fs::path file, target(arguments, folder));
  FR_CHECK(write_flow(file, flow.text, arguments.force));
  const fs::path near = file.lexically_relative(folder);
  const bool below = !near.empty() && *near.begin() != "..";
  return guide(flow_notes(flow.text), (below ? near : file).string());
}

int init_command(const InitArguments& arguments) {
  std::error_code error;
  const fs::path folder = fs::current_path(error);
  if (error) return print_error({ErrorCode::not_found, "the current folder is gone"});
  const auto told = init_flow(arguments, folder);
  if (!told) return print_error(told.error());
  print(STDOUT_FILENO, *told);
  return exit_success;
}

}  // namespace flow_runner::cli
