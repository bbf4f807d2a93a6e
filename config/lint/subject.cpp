#include "config/lint/subject.hpp"

#include <algorithm>
#include <tuple>

#include "config/flow_extensions.hpp"
#include "config/lint/words.hpp"
#include "config/yaml_value.hpp"

namespace flow_runner::lint {
namespace {

constexpr std::size_t max_findings = 500;

/// Recursion and visits are bounded by YamlLimits. A command that runs again by an alias is looked
/// at once.
void collect(const SourceLines& lines, const YamlNode& node, bool setup,
             std::set<const YamlNode*>& seen, std::vector<ScriptItem>& items) {
  for (const YamlNodePtr& item : node.items) {
    if (item->kind == YamlNode::Kind::sequence) {
      collect(lines, *item, setup, seen, items);
    } else if (item->kind == YamlNode::Kind::scalar && seen.insert(item.get()).second) {
      items.push_back(
          {item.get(), ScalarSource::locate(lines, *item), read_shell(item->text), setup});
    }
  }
}

}  // namespace

Subject::Subject(std::string_view bytes, const YamlNode& root) : lines(bytes) {
  std::set<const YamlNode*> seen;
  if (const YamlNode* extensions = find_value(root, extensions_key)) {
    if (const YamlNode* setup = find_value(*extensions, "setup"))
      collect(lines, *setup, true, seen, items);
  }
  if (const YamlNode* commands = find_value(root, "commands"))
    collect(lines, *commands, false, seen, items);
  if (const YamlNode* names = find_value(root, "variables")) {
    for (const YamlNodePtr& name : names->items) {
      if (name->kind == YamlNode::Kind::scalar) variables.push_back(name.get());
    }
  }
  for (const YamlNode* name : variables) listed_.insert(name->text);
  for (const ScriptItem& item : items) {
    for (const SimpleCommand& command : item.shell.commands) {
      if (program_name(command) != "export") continue;
      for (const Word& word : command.words) exported_.emplace(leading_name(word.text));
    }
  }
  image = find_value(root, "image");
  if (image != nullptr && image->kind == YamlNode::Kind::mapping)
    image = find_value(*image, "name");
  if (image != nullptr && image->kind != YamlNode::Kind::scalar) image = nullptr;
}

bool Subject::exports(std::string_view name) const {
  return lists(name) || name.starts_with("CI_") || name.starts_with("AI_FLOW_") ||
         exported_.contains(name);
}

std::optional<Edit> Subject::replace(const ScriptItem& item, Span span,
                                     std::string_view text) const {
  auto encoded = item.source.encode(text);
  if (!encoded) return std::nullopt;
  return Edit{item.source.offset(span.begin), item.source.offset(span.end), std::move(*encoded)};
}

std::optional<Edit> Subject::remove(const ScriptItem& item) const {
  if (!item.source.exact()) return std::nullopt;
  const std::string_view bytes = lines.bytes();
  const std::size_t begin = lines.line_begin(item.source.begin());
  std::string_view before = bytes.substr(begin, item.source.begin() - begin);
  const auto dash = before.find_first_not_of(' ');
  if (dash == std::string_view::npos || before[dash] != '-') return std::nullopt;
  if (before.find_first_not_of(" \t", dash + 1) != std::string_view::npos) return std::nullopt;
  return Edit{begin, lines.line_end(std::max(item.source.end(), begin + 1) - 1), {}};
}

void Findings::add(const ScriptItem& item, std::size_t index, Remark remark) {
  add(item.source.offset(index), std::move(remark));
}

void Findings::add(const YamlNode& node, Remark remark) {
  add(lines_.offset(node.line, node.column), std::move(remark));
}

void Findings::add(std::size_t offset, Remark remark) {
  if (full()) return;
  const auto place = lines_.place(offset);
  const bool fixable = !remark.fix.empty();
  findings_.push_back({remark.rule, remark.severity, offset, place.line, place.column,
                       std::move(remark.message), std::move(remark.cure), std::move(remark.fix),
                       fixable});
}

bool Findings::full() const { return findings_.size() >= max_findings; }

std::vector<Finding> Findings::take() {
  const auto key = [](const Finding& f) { return std::tie(f.line, f.column, f.rule, f.message); };
  std::stable_sort(findings_.begin(), findings_.end(),
                   [&](const Finding& a, const Finding& b) { return key(a) < key(b); });
  // Two rules of one family can meet at one place.
  findings_.erase(std::unique(findings_.begin(), findings_.end(),
                              [&](const Finding& a, const Finding& b) { return key(a) == key(b); }),
                  findings_.end());
  return std::move(findings_);
}

}  // namespace flow_runner::lint
