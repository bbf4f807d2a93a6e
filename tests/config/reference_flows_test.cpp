#include "config/reference_flows.hpp"

#include <algorithm>
#include <doctest/doctest.h>

#include "config/flow_file.hpp"
#include "config/job.hpp"
#include "config/network_presets.hpp"
#include "config/variables.hpp"

using namespace flow_runner;

TEST_CASE("reference flows: five agents, each a flow without a fault") {
  const auto flows = reference_flows();
  std::vector<std::string> agents;
  for (const auto& flow : flows) {
    CAPTURE(flow.agent);
    agents.push_back(flow.agent);
    const auto parsed = parse_flow(flow.text, flow.agent);
    REQUIRE(parsed.flow.has_value());
    for (const auto& diagnostic : parsed.diagnostics) FAIL_CHECK(diagnostic.message);
    for (const auto& command : parsed.flow->commands)
      CHECK_MESSAGE(command.find("git push") == std::string::npos, command);
  }
  CHECK(agents == std::vector<std::string>{"amazon-q", "claude", "codex", "gemini", "opencode"});
}

TEST_CASE("reference flows: the comment names every variable that the flow takes, and no other") {
  for (const auto& flow : reference_flows()) {
    CAPTURE(flow.agent);
    const auto parsed = parse_flow(flow.text, flow.agent);
    REQUIRE(parsed.flow.has_value());
    const auto notes = flow_notes(flow.text);
    CHECK_FALSE(notes.title.empty());
    REQUIRE_FALSE(notes.required.empty());
    CHECK(is_secret_name(notes.required.back()));
    auto named = notes.required;
    named.insert(named.end(), notes.optional.begin(), notes.optional.end());
    auto taken = parsed.flow->variables;
    std::sort(named.begin(), named.end());
    std::sort(taken.begin(), taken.end());
    CHECK(named == taken);
    // Or every job would warn of what it need not have.
    Job job;
    job.flow = *parsed.flow;
    CHECK(resolve_variables(job).warnings.size() == notes.required.size());
    for (const auto& entry : notes.network)
      CHECK((is_network_preset(entry) || parse_network_rule(entry, "test").has_value()));
    CHECK(std::find(notes.network.begin(), notes.network.end(), "agents") != notes.network.end());
  }
}

TEST_CASE("flow notes: any text is read, and what is missing stays empty") {
  for (const char* text : {"", "#", "image: a\n", "# Title", "\n# Network: a\n"}) {
    const auto notes = flow_notes(text);
    CHECK(notes.required.empty());
    CHECK(notes.network.empty());
  }
  const auto notes = flow_notes(
      "# Some Agent, for this.\n#\n# Set:\n#   KEY   what\n#         more\n# Optional:\n#   URL_2\n"
      "#\n# Network: agents a.example:443\n#\n#   OTHER   is no variable\nimage: a\n");
  CHECK(notes.title == "Some Agent");
  CHECK(notes.required == std::vector<std::string>{"KEY"});
  CHECK(notes.optional == std::vector<std::string>{"URL_2"});
  CHECK(notes.network == std::vector<std::string>{"agents", "a.example:443"});
  CHECK(notes.variables == "Set:\n  KEY   what\n        more\nOptional:\n  URL_2\n");
}
