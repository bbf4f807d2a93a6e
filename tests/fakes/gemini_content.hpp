// What the stand-in for the Gemini API answers: plain functions, no server.
#pragma once

#include "tests/fakes/scripted_turn.hpp"

namespace flow_runner::fakes {

/// Answers POST /v1beta/models/MODEL:generateContent, :streamGenerateContent and :countTokens
/// (https://ai.google.dev/api/generate-content). A request for JSON after a schema (Gemini CLI
/// first asks how hard the task is) gets an object of that shape; one that offers
/// `run_shell_command` and holds no result of it a call of it; any other the closing text.
ApiAnswer answer_gemini(const ApiRequest& request, const ScriptedTurn& turn);

/// An error body of the API.
ApiAnswer gemini_error(unsigned status, std::string_view name, std::string_view text);

}  // namespace flow_runner::fakes
