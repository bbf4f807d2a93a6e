// `flow-runner init`: puts a flow for an agent into a repository, and says what it needs.
#pragma once

#include <filesystem>
#include <string>

#include "config/result.hpp"

namespace CLI {
class App;
}

namespace flow_runner::cli {

struct InitArguments {
  std::string agent{}, output{};
  bool force = false;
};

/// Adds AGENT, --output and --force.
void add_init_options(CLI::App& app, InitArguments& arguments);

/// Writes the agent's flow: to `output` (relative to `folder`), else to
/// `.gitlab/duo/flows/AGENT.yaml` of the repository that `folder` is in, else of `folder`. Gives
/// what to tell the person: where it is, which variables to set, the next commands. A file with
/// other content is left alone without `force`. An unknown agent is invalid_input, which names
/// those that there are.
Result<std::string> init_flow(const InitArguments& arguments, const std::filesystem::path& folder);

/// init_flow in the current folder, told on stdout. Needs no right and no namespace.
int init_command(const InitArguments& arguments);

}  // namespace flow_runner::cli
