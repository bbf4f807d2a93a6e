// Which stand-in answers a request, and whether its key is the right one.
#pragma once

#include "tests/fakes/scripted_turn.hpp"

namespace flow_runner::fakes {

/// The answer of the provider whose API has the path; 404 when none has. `key` is what the request
/// brought; where `right_key` is not empty, any other is refused.
ApiAnswer answer_api(const ApiRequest& request, const ScriptedTurn& turn, std::string_view key,
                     std::string_view right_key);

}  // namespace flow_runner::fakes
