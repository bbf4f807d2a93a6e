// A checker for the part of JSON Schema that our schemas use.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace flow_runner {

/// What is wrong with `value`, one sentence each; empty: it is valid. Knows type, enum, required,
/// properties, additionalProperties: false, and items.
std::vector<std::string> schema_violations(const nlohmann::json& schema,
                                           const nlohmann::json& value,
                                           const std::string& path = "$");

}  // namespace flow_runner
