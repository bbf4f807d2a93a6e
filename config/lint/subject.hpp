// Lint subject: a flow as the rules see it, and where they put what they find.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/lint/finding.hpp"
#include "config/lint/shell_script.hpp"
#include "config/yaml_source.hpp"
#include "config/yaml_tree.hpp"

namespace flow_runner::lint {

/// One command of `commands` or of `setup`.
struct ScriptItem {
  const YamlNode* node = nullptr;
  ScalarSource source;
  ShellScript shell;
  bool setup = false;

  [[nodiscard]] const std::string& text() const { return node->text; }
};

struct Subject {
  /// `bytes` and `root` must outlive it.
  Subject(std::string_view bytes, const YamlNode& root);

  SourceLines lines;
  std::vector<ScriptItem> items;           ///< as they run: setup first
  std::vector<const YamlNode*> variables;  ///< the listed names
  const YamlNode* image = nullptr;         ///< the name's node

  [[nodiscard]] bool lists(std::string_view name) const { return listed_.contains(name); }
  /// Whether the programs that the script starts see it: given to the job, or exported.
  [[nodiscard]] bool exports(std::string_view name) const;
  /// Replaces a part of a command; absent when its place or its style does not allow it.
  [[nodiscard]] std::optional<Edit> replace(const ScriptItem& item, Span span,
                                            std::string_view text) const;
  /// Removes the lines of an item that has its lines for itself.
  [[nodiscard]] std::optional<Edit> remove(const ScriptItem& item) const;

 private:
  std::set<std::string_view> listed_;
  std::set<std::string, std::less<>> exported_;
};

/// What a rule says about a place; the place is added by Findings.
struct Remark {
  std::string_view rule;
  Severity severity = Severity::error;
  std::string message;
  std::string cure;
  std::vector<Edit> fix = {};
};

/// Collects findings, at most a few hundred.
class Findings {
 public:
  explicit Findings(const SourceLines& lines) : lines_(lines) {}

  void add(const ScriptItem& item, std::size_t index, Remark remark);
  void add(const YamlNode& node, Remark remark);
  void add(std::size_t offset, Remark remark);
  /// Whether more would be dropped.
  [[nodiscard]] bool full() const;
  /// In the order of the file, each once.
  [[nodiscard]] std::vector<Finding> take();

 private:
  const SourceLines& lines_;
  std::vector<Finding> findings_;
};

}  // namespace flow_runner::lint
