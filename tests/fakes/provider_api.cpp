#include "tests/fakes/provider_api.hpp"

#include "tests/fakes/anthropic_messages.hpp"
#include "tests/fakes/gemini_content.hpp"
#include "tests/fakes/openai_responses.hpp"

namespace flow_runner::fakes {

ApiAnswer answer_api(const ApiRequest& request, const ScriptedTurn& turn, std::string_view key,
                     std::string_view right_key) {
  const bool refused = key.empty() || (!right_key.empty() && key != right_key);
  constexpr std::string_view reason = "a key is missing, or is not the right one";
  if (request.path == "/v1/responses")
    return refused ? openai_error(401, "invalid_api_key", reason) : answer_openai(request, turn);
  if (request.path.starts_with("/v1/"))
    return refused ? anthropic_error(401, "authentication_error", reason)
                   : answer_anthropic(request, turn);
  if (request.path.starts_with("/v1beta/models/"))
    return refused ? gemini_error(401, "UNAUTHENTICATED", reason) : answer_gemini(request, turn);
  return {.status = 404, .body = "{}"};
}

}  // namespace flow_runner::fakes
