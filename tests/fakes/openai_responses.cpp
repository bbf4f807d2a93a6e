#include "tests/fakes/openai_responses.hpp"

namespace flow_runner::fakes {

namespace {

using nlohmann::json;

constexpr std::string_view tool = "exec_command";
constexpr std::string_view call_id = "call_FlowRunnerStandIn";

bool offers_tool(const json& request) {
  for (const auto& candidate : list_member(request, "tools"))
    if (text_member(candidate, "name") == tool) return true;
  return false;
}

bool holds_result(const json& request) {
  for (const auto& item : list_member(request, "input"))
    if (text_member(item, "type") == "function_call_output" &&
        text_member(item, "call_id") == call_id)
      return true;
  return false;
}

json next_item(const json& request, const ScriptedTurn& turn) {
  if (offers_tool(request) && !holds_result(request))
    return {{"type", "function_call"},
            {"id", "fc_FlowRunnerStandIn"},
            {"call_id", call_id},
            {"name", tool},
            {"arguments", dump({{"cmd", whole_command(turn)}})},
            {"status", "completed"}};
  const json text = {
      {"type", "output_text"}, {"text", turn.closing_text}, {"annotations", json::array()}};
  return {{"type", "message"},
          {"id", "msg_FlowRunnerStandIn"},
          {"role", "assistant"},
          {"status", "completed"},
          {"content", json::array({text})}};
}

std::string event(std::string_view name, json data) {
  data["type"] = name;
  return server_event(name, data);
}

}  // namespace

ApiAnswer openai_error(unsigned status, std::string_view type, std::string_view text) {
  return {.status = status, .body = dump({{"error", {{"type", type}, {"message", text}}}})};
}

ApiAnswer answer_openai(const ApiRequest& request, const ScriptedTurn& turn) {
  if (request.method != "POST") return openai_error(404, "invalid_request_error", "not found");
  if (!request.body.is_object())
    return openai_error(400, "invalid_request_error", "the body is not a JSON object");
  const auto item = next_item(request.body, turn);
  json response = {{"id", "resp_FlowRunnerStandIn"},
                   {"object", "response"},
                   {"status", "in_progress"},
                   {"output", json::array()}};
  std::string stream = event("response.created", {{"response", response}});
  stream += event("response.output_item.done", {{"output_index", 0}, {"item", item}});
  response["status"] = "completed";
  response["output"].push_back(item);
  response["usage"] = {{"input_tokens", 100},
                       {"input_tokens_details", {{"cached_tokens", 0}}},
                       {"output_tokens", 20},
                       {"output_tokens_details", {{"reasoning_tokens", 0}}},
                       {"total_tokens", 120}};
  stream += event("response.completed", {{"response", response}});
  return {.type = "text/event-stream", .body = std::move(stream)};
}

}  // namespace flow_runner::fakes
