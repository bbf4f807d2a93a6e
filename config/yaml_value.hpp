// YAML values: reads texts, numbers and lists out of a YAML tree and says clearly what else was
// there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.hpp"
#include "config/yaml_tree.hpp"

namespace flow_runner {

/// What GitLab's reader (YAML 1.1) makes of a scalar without quotes.
enum class PlainType : std::uint8_t { text, null, boolean, number };
PlainType plain_type(const YamlNode& node);

/// "an empty value", "a mapping", "a list", "a number", …: for "… but this is a list".
std::string_view describe(const YamlNode& node);

/// The closest of `known` to a mistyped key; empty when none is close.
std::string_view closest(std::string_view key, std::span<const std::string_view> known);

/// The value of a key in a mapping, or null.
const YamlNode* find_value(const YamlNode& mapping, std::string_view key);

/// The text of a scalar that GitLab too reads as a text; else an error that names `what`.
std::optional<std::string> text_value(const YamlNode& node, std::string_view what,
                                      DiagnosticList& diagnostics);

/// A scalar's characters, of any type (`90` is a duration), else an error that names `what`.
std::optional<std::string> scalar_value(const YamlNode& node, std::string_view what,
                                        DiagnosticList& diagnostics);

}  // namespace flow_runner
