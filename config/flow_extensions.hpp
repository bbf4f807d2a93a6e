// Flow extensions: reads the keys under `x-flow-runner`, and lists of commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.hpp"
#include "config/flow.hpp"
#include "config/yaml_tree.hpp"

namespace flow_runner {

inline constexpr std::string_view extensions_key = "x-flow-runner";

/// Reads the mapping behind `x-flow-runner`. The list of keys is closed: an unknown one is an
/// error, since a limit that is misspelt would silently not hold.
void read_extensions(const YamlNode& value, FlowExtensions& extensions,
                     DiagnosticList& diagnostics);

/// Reads a list of commands; lists within it are flattened, as in GitLab's `script`.
void read_command_list(const YamlNode& node, std::string_view what,
                       std::vector<std::string>& commands, DiagnosticList& diagnostics);

}  // namespace flow_runner
