#include "tests/fakes/anthropic_messages.hpp"

#include <array>

namespace flow_runner::fakes {

namespace {

using nlohmann::json;

/// A tool by the names that agents give it.
struct Tool {
  std::array<const char*, 2> names;
  std::string_view call_id;
};
constexpr Tool write_tool = {{"Write", "write"}, "toolu_01FlowRunnerWrite"};
constexpr Tool shell_tool = {{"Bash", "bash"}, "toolu_02FlowRunnerShell"};

/// The tool's name in this request; empty: it is not offered.
std::string offered(const json& request, const Tool& tool) {
  for (const auto& candidate : list_member(request, "tools"))
    for (const char* name : tool.names)
      if (text_member(candidate, "name") == name) return name;
  return {};
}

bool holds_result(const json& request, const Tool& tool) {
  for (const auto& message : list_member(request, "messages"))
    for (const auto& block : list_member(message, "content"))
      if (text_member(block, "tool_use_id") == tool.call_id) return true;
  return false;
}

json call(const Tool& tool, const std::string& name, json input) {
  return {{"type", "tool_use"}, {"id", tool.call_id}, {"name", name}, {"input", std::move(input)}};
}

/// null: nothing is left to do.
json next_call(const json& request, const ScriptedTurn& turn) {
  const auto write = offered(request, write_tool);
  if (!write.empty() && !holds_result(request, write_tool)) {
    const char* path = write == "Write" ? "file_path" : "filePath";
    return call(write_tool, write, {{path, turn.file_path}, {"content", turn.content}});
  }
  const auto shell = offered(request, shell_tool);
  if (!turn.command.empty() && !shell.empty() && !holds_result(request, shell_tool))
    return call(shell_tool, shell, {{"command", turn.command}, {"description", "Runs it"}});
  return nullptr;
}

std::string event(std::string_view name, json data) {
  data["type"] = name;
  return server_event(name, data);
}

}  // namespace

json answer_message(const json& request, const ScriptedTurn& turn) {
  const auto next = next_call(request, turn);
  auto content = json::array();
  content.push_back(
      {{"type", "text"}, {"text", next.is_null() ? turn.closing_text : "I use a tool."}});
  if (!next.is_null()) content.push_back(next);
  const auto model = text_member(request, "model");
  return {{"id", "msg_01FlowRunnerStandIn"},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model.empty() ? "stand-in" : model},
          {"content", std::move(content)},
          {"stop_reason", next.is_null() ? "end_turn" : "tool_use"},
          {"stop_sequence", nullptr},
          {"usage", {{"input_tokens", 100}, {"output_tokens", 20}}}};
}

std::string as_event_stream(const json& message) {
  auto start = message;
  start["content"] = json::array();
  start["stop_reason"] = nullptr;
  std::string stream = event("message_start", {{"message", start}});
  std::size_t index = 0;
  for (const auto& block : message.at("content")) {
    auto empty = block;
    json delta;
    if (block.at("type") == "tool_use") {
      empty["input"] = json::object();
      delta = {{"type", "input_json_delta"}, {"partial_json", dump(block.at("input"))}};
    } else {
      empty["text"] = "";
      delta = {{"type", "text_delta"}, {"text", block.at("text")}};
    }
    stream += event("content_block_start", {{"index", index}, {"content_block", empty}});
    stream += event("content_block_delta", {{"index", index}, {"delta", delta}});
    stream += event("content_block_stop", {{"index", index}});
    ++index;
  }
  stream +=
      event("message_delta",
            {{"delta", {{"stop_reason", message.at("stop_reason")}, {"stop_sequence", nullptr}}},
             {"usage", {{"output_tokens", 20}}}});
  return stream + event("message_stop", json::object());
}

ApiAnswer anthropic_error(unsigned status, std::string_view type, std::string_view text) {
  return {.status = status,
          .body = dump({{"type", "error"}, {"error", {{"type", type}, {"message", text}}}})};
}

ApiAnswer answer_anthropic(const ApiRequest& request, const ScriptedTurn& turn) {
  if (request.path == "/v1/models") return {.body = R"({"data":[],"has_more":false})"};
  if (request.method != "POST") return anthropic_error(404, "not_found_error", "not found");
  if (!request.body.is_object())
    return anthropic_error(400, "invalid_request_error", "the body is not a JSON object");
  if (request.path == "/v1/messages/count_tokens") return {.body = R"({"input_tokens":100})"};
  if (request.path != "/v1/messages") return anthropic_error(404, "not_found_error", "not found");
  const auto message = answer_message(request.body, turn);
  if (request.body.value("stream", json()) == true)
    return {.type = "text/event-stream", .body = as_event_stream(message)};
  return {.body = dump(message)};
}

}  // namespace flow_runner::fakes
