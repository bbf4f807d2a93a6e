// What the stand-in for OpenAI's Responses API answers: plain functions, no server.
#pragma once

#include "tests/fakes/scripted_turn.hpp"

namespace flow_runner::fakes {

/// Answers POST /v1/responses (https://platform.openai.com/docs/api-reference/responses), streamed:
/// a call of Codex's tool `exec_command` when the request offers it and holds no result of it yet,
/// otherwise the closing text.
ApiAnswer answer_openai(const ApiRequest& request, const ScriptedTurn& turn);

/// An error body of the API.
ApiAnswer openai_error(unsigned status, std::string_view type, std::string_view text);

}  // namespace flow_runner::fakes
