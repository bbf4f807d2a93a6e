// The one turn that every stand-in for a model plays, and what the stand-ins share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace flow_runner::fakes {

/// A file is written, then a shell command runs, then the turn closes with a text. Agents without
/// a tool that writes files do both by one shell command.
struct ScriptedTurn {
  std::string file_path;  ///< absolute, as the agent sees it
  std::string content;
  std::string command{};  ///< empty: none
  std::string closing_text = "The file is written.";
};

/// One request, as far as an API's answer depends on it.
struct ApiRequest {
  std::string method, path;  ///< without the query
  nlohmann::json body;       ///< discarded: it was no JSON
};

struct ApiAnswer {
  unsigned status = 200;
  std::string type = "application/json";
  std::string body{};
};

/// A member that is an array; an empty one for anything else.
nlohmann::json list_member(const nlohmann::json& object, const char* name);

/// A member that is a string; an empty one for anything else.
std::string text_member(const nlohmann::json& object, const char* name);

/// JSON as text, whatever bytes it holds.
std::string dump(const nlohmann::json& value);

/// One server-sent event; `name` may be empty.
std::string server_event(std::string_view name, const nlohmann::json& data);

/// The shell command that writes the file and runs the turn's command.
std::string whole_command(const ScriptedTurn& turn);

}  // namespace flow_runner::fakes
