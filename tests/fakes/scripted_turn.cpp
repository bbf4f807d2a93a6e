#include "tests/fakes/scripted_turn.hpp"

namespace flow_runner::fakes {

namespace {

using nlohmann::json;

std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

}  // namespace

json list_member(const json& object, const char* name) {
  if (!object.is_object()) return json::array();
  const auto member = object.find(name);
  return member != object.end() && member->is_array() ? *member : json::array();
}

std::string text_member(const json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string server_event(std::string_view name, const json& data) {
  const std::string head = name.empty() ? "" : "event: " + std::string(name) + "\n";
  return head + "data: " + dump(data) + "\n\n";
}

std::string whole_command(const ScriptedTurn& turn) {
  return "printf '%s' " + shell_word(turn.content) + " > " + shell_word(turn.file_path) +
         (turn.command.empty() ? "" : " && " + turn.command);
}

}  // namespace flow_runner::fakes
