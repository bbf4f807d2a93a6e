#include "tests/executor/json_schema.hpp"

#include <algorithm>

namespace flow_runner {

using nlohmann::json;

namespace {

bool has_type(const std::string& type, const json& value) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "boolean") return value.is_boolean();
  return type == "null" && value.is_null();
}

bool has_any_type(const json& types, const json& value) {
  if (types.is_string()) return has_type(types, value);
  return std::any_of(types.begin(), types.end(),
                     [&](const json& type) { return has_type(type, value); });
}

}  // namespace

std::vector<std::string> schema_violations(const json& schema, const json& value,
                                           const std::string& path) {
  std::vector<std::string> found;
  if (schema.contains("type") && !has_any_type(schema["type"], value))
    return {path + " has the wrong type: " + value.dump()};
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    found.push_back(path + " is none of the known values: " + value.dump());
  const auto descend = [&](const json& below, const json& item, const std::string& name) {
    for (auto& violation : schema_violations(below, item, name))
      found.push_back(std::move(violation));
  };
  if (value.is_object()) {
    for (const json& name : schema.value("required", json::array()))
      if (!value.contains(name.get<std::string>()))
        found.push_back(path + " lacks " + name.get<std::string>());
    const json properties = schema.value("properties", json::object());
    for (const auto& [name, item] : value.items()) {
      if (properties.contains(name))
        descend(properties[name], item, path + "." + name);
      else if (schema.value("additionalProperties", true) == false)
        found.push_back(path + " must not have " + name);
    }
  }
  if (value.is_array() && schema.contains("items"))
    for (const json& item : value) descend(schema["items"], item, path + "[]");
  return found;
}

}  // namespace flow_runner
