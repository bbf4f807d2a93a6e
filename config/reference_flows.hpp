// The flow files of config/flows/, as they were when the program was built.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flow_runner {

struct ReferenceFlow {
  std::string agent;      ///< the file's name without its ending
  std::string_view text;  ///< the file's bytes; of static duration
};

/// Made by CMake from the files; ordered by agent.
std::vector<ReferenceFlow> reference_flows();

/// What the comment at the top of a reference flow tells a person.
struct FlowNotes {
  std::string title;                  ///< the agent's full name
  std::string variables;              ///< which to set, line by line, as written there
  std::vector<std::string> required;  ///< names of those without which the agent cannot work
  std::vector<std::string> optional;
  std::vector<std::string> network;  ///< entries and presets for `--network-allow`
};

/// Reads the comment: a first line `# TITLE, …`; a paragraph of variables, the required ones above
/// a line `Optional:`; a line `# Network: ENTRY…`. What is missing stays empty.
FlowNotes flow_notes(std::string_view text);

}  // namespace flow_runner
