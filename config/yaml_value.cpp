#include "config/yaml_value.hpp"

#include <algorithm>
#include <array>

namespace flow_runner {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool looks_like_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0o");
  if (hexadecimal) text.remove_prefix(2);
  return text.find_first_not_of(hexadecimal ? "0123456789abcdefABCDEF_" : "0123456789_.,eE+") ==
         std::string_view::npos;
}

/// Edit distance with swaps of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({change, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

PlainType plain_type(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::null) return PlainType::null;
  if (node.kind != YamlNode::Kind::scalar || !node.plain) return PlainType::text;
  static constexpr std::array<std::string_view, 6> booleans = {"true", "false", "yes",
                                                               "no",   "on",    "off"};
  // No longer text is one of these, and most texts are longer.
  if (node.text.size() > 64) return PlainType::text;
  const std::string lower = lower_case(node.text);
  if (lower.empty() || lower == "~" || lower == "null") return PlainType::null;
  if (std::find(booleans.begin(), booleans.end(), lower) != booleans.end()) {
    return PlainType::boolean;
  }
  return looks_like_number(node.text) ? PlainType::number : PlainType::text;
}

std::string_view describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "empty";
    case YamlNode::Kind::sequence:
      return "a list";
    case YamlNode::Kind::mapping:
      return "a mapping";
    case YamlNode::Kind::scalar:
      break;
  }
  switch (plain_type(node)) {
    case PlainType::null:
      return "empty";
    case PlainType::boolean:
      return "a boolean";
    case PlainType::number:
      return "a number";
    case PlainType::text:
      break;
  }
  return "a text";
}

std::string_view closest(std::string_view key, std::span<const std::string_view> known) {
  static constexpr std::size_t max_key_bytes = 64;
  if (key.empty() || key.size() > max_key_bytes) return {};
  const std::string lower = lower_case(key);
  std::string_view best;
  // A third of the letters wrong is no typing mistake any more.
  std::size_t best_distance =
      std::min<std::size_t>(3, std::max<std::size_t>(key.size() / 3, 1) + 1);
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(lower, lower_case(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

const YamlNode* find_value(const YamlNode& mapping, std::string_view key) {
  for (const auto& [name, value] : mapping.entries) {
    if (name->text == key) return value.get();
  }
  return nullptr;
}

std::optional<std::string> scalar_value(const YamlNode& node, std::string_view what,
                                        DiagnosticList& diagnostics) {
  if (node.kind == YamlNode::Kind::scalar && plain_type(node) != PlainType::null) return node.text;
  diagnostics.error(
      node.line, node.column,
      std::string(what) + " must be a single value, but this is " + std::string(describe(node)));
  return std::nullopt;
}

std::optional<std::string> text_value(const YamlNode& node, std::string_view what,
                                      DiagnosticList& diagnostics) {
  const PlainType type = plain_type(node);
  if (node.kind == YamlNode::Kind::scalar && type == PlainType::text) return node.text;
  std::string message =
      std::string(what) + " must be a text, but this is " + std::string(describe(node));
  if (type == PlainType::boolean || type == PlainType::number) message += ": put it in quotes";
  if (node.kind == YamlNode::Kind::mapping && !node.entries.empty()) {
    message += ": the `: ` behind " + shown(node.entries.front().first->text) +
               " made it one; put the whole text in quotes, or use `|` and a line of its own";
  }
  diagnostics.error(node.line, node.column, std::move(message));
  return std::nullopt;
}

}  // namespace flow_runner
