// What the stand-in for Anthropic's Messages API answers: plain functions, no server.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace flow_runner::fakes {

/// The one turn that the stand-in plays: a call of the tool `Write`, then a closing text.
struct ScriptedTurn {
  std::string file_path;  ///< absolute, as the agent sees it
  std::string content;
  std::string closing_text = "The file is written.";
};

/// The message (https://docs.anthropic.com/en/api/messages) that answers `request`: the tool call
/// when the request offers a tool `Write` and holds no result of it yet, otherwise the closing
/// text.
nlohmann::json answer_message(const nlohmann::json& request, const ScriptedTurn& turn);

/// The same message as the server-sent events of a streamed answer.
std::string as_event_stream(const nlohmann::json& message);

/// An error body of the API.
nlohmann::json error_body(std::string_view type, std::string_view text);

}  // namespace flow_runner::fakes
