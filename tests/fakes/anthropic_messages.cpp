#include "tests/fakes/anthropic_messages.hpp"

#include <algorithm>

namespace flow_runner::fakes {

namespace {

using nlohmann::json;

constexpr std::string_view call_id = "toolu_01FlowRunnerStandIn";

/// A member that is an array; an empty one for anything else.
json list(const json& object, const char* name) {
  const auto member = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && member != object.end() && member->is_array() ? *member
                                                                            : json::array();
}

bool offers_write(const json& request) {
  const auto tools = list(request, "tools");
  return std::any_of(tools.begin(), tools.end(), [](const json& tool) {
    return tool.is_object() && tool.value("name", json()) == "Write";
  });
}

bool holds_result(const json& request) {
  for (const auto& message : list(request, "messages")) {
    for (const auto& block : list(message, "content")) {
      if (block.is_object() && block.value("tool_use_id", json()) == call_id) return true;
    }
  }
  return false;
}

std::string event(std::string_view name, json data) {
  data["type"] = name;
  return "event: " + std::string(name) +
         "\ndata: " + data.dump(-1, ' ', false, json::error_handler_t::replace) + "\n\n";
}

}  // namespace

json answer_message(const json& request, const ScriptedTurn& turn) {
  const bool call = offers_write(request) && !holds_result(request);
  auto content = json::array();
  if (call) {
    content.push_back({{"type", "text"}, {"text", "I write the file."}});
    content.push_back({{"type", "tool_use"},
                       {"id", call_id},
                       {"name", "Write"},
                       {"input", {{"file_path", turn.file_path}, {"content", turn.content}}}});
  } else {
    content.push_back({{"type", "text"}, {"text", turn.closing_text}});
  }
  const auto model = request.is_object() ? request.value("model", json()) : json();
  return {{"id", "msg_01FlowRunnerStandIn"},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model.is_string() ? model : json("stand-in")},
          {"content", std::move(content)},
          {"stop_reason", call ? "tool_use" : "end_turn"},
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
      delta = {
          {"type", "input_json_delta"},
          {"partial_json", block.at("input").dump(-1, ' ', false, json::error_handler_t::replace)}};
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

json error_body(std::string_view type, std::string_view text) {
  return {{"type", "error"}, {"error", {{"type", type}, {"message", text}}}};
}

}  // namespace flow_runner::fakes
