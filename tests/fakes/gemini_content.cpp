#include "tests/fakes/gemini_content.hpp"

namespace flow_runner::fakes {

namespace {

using nlohmann::json;

constexpr std::string_view tool = "run_shell_command";

bool offers_tool(const json& request) {
  for (const auto& group : list_member(request, "tools"))
    for (const auto& candidate : list_member(group, "functionDeclarations"))
      if (text_member(candidate, "name") == tool) return true;
  return false;
}

bool holds_result(const json& request) {
  for (const auto& message : list_member(request, "contents"))
    for (const auto& part : list_member(message, "parts"))
      if (part.is_object() && text_member(part.value("functionResponse", json()), "name") == tool)
        return true;
  return false;
}

/// null: the request wants no JSON.
json wanted_schema(const json& request) {
  const auto config = request.value("generationConfig", json());
  for (const char* name : {"responseJsonSchema", "responseSchema"})
    if (config.is_object() && config.contains(name)) return config[name];
  return nullptr;
}

/// An object with every property of the schema.
json after_schema(const json& schema) {
  json object = json::object();
  const auto properties = schema.is_object() ? schema.value("properties", json()) : json();
  if (!properties.is_object()) return object;
  for (const auto& [name, property] : properties.items()) {
    const auto type = text_member(property, "type");
    const auto choices = list_member(property, "enum");
    if (!choices.empty())
      object[name] = choices.front();
    else if (type == "INTEGER" || type == "NUMBER" || type == "integer" || type == "number")
      object[name] = 1;
    else
      object[name] = "easy";
  }
  return object;
}

json next_part(const json& request, const ScriptedTurn& turn) {
  if (const auto schema = wanted_schema(request); !schema.is_null())
    return {{"text", dump(after_schema(schema))}};
  if (offers_tool(request) && !holds_result(request))
    return {{"functionCall",
             {{"name", tool},
              {"args", {{"command", whole_command(turn)}, {"description", "Writes it"}}}}}};
  return {{"text", turn.closing_text}};
}

}  // namespace

ApiAnswer gemini_error(unsigned status, std::string_view name, std::string_view text) {
  return {.status = status,
          .body = dump({{"error", {{"code", status}, {"status", name}, {"message", text}}}})};
}

ApiAnswer answer_gemini(const ApiRequest& request, const ScriptedTurn& turn) {
  if (request.method != "POST") return gemini_error(404, "NOT_FOUND", "not found");
  if (!request.body.is_object())
    return gemini_error(400, "INVALID_ARGUMENT", "the body is not a JSON object");
  if (request.path.ends_with(":countTokens")) return {.body = R"({"totalTokens":100})"};
  const bool streamed = request.path.ends_with(":streamGenerateContent");
  if (!streamed && !request.path.ends_with(":generateContent"))
    return gemini_error(404, "NOT_FOUND", "not found");
  const json content = {{"role", "model"}, {"parts", json::array({next_part(request.body, turn)})}};
  const json candidate = {{"content", content}, {"finishReason", "STOP"}, {"index", 0}};
  const json answer = {
      {"candidates", json::array({candidate})},
      {"usageMetadata",
       {{"promptTokenCount", 100}, {"candidatesTokenCount", 20}, {"totalTokenCount", 120}}},
      {"modelVersion", "stand-in"}};
  if (!streamed) return {.body = dump(answer)};
  return {.type = "text/event-stream", .body = server_event("", answer)};
}

}  // namespace flow_runner::fakes
