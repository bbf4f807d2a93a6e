// What the stand-in for Anthropic's Messages API answers: plain functions, no server.
#pragma once

#include "tests/fakes/scripted_turn.hpp"

namespace flow_runner::fakes {

/// The message (https://docs.anthropic.com/en/api/messages) that answers `request`: a call of the
/// tool `Write` (Claude Code) or `write` (opencode), then of `Bash` or `bash`, as far as the
/// request offers them and does not hold their results yet; otherwise the closing text.
nlohmann::json answer_message(const nlohmann::json& request, const ScriptedTurn& turn);

/// The same message as the server-sent events of a streamed answer.
std::string as_event_stream(const nlohmann::json& message);

/// Answers /v1/messages, /v1/messages/count_tokens and /v1/models.
ApiAnswer answer_anthropic(const ApiRequest& request, const ScriptedTurn& turn);

/// An error body of the API.
ApiAnswer anthropic_error(unsigned status, std::string_view type, std::string_view text);

}  // namespace flow_runner::fakes
