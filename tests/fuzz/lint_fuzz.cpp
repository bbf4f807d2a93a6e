// Fuzzes the linter: any bytes give findings that are bounded and safe to print, with places within
// the file; and fixes that end and keep a flow a flow.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/flow_file.hpp"
#include "config/lint/lint.hpp"
#include "config/lint/report.hpp"
#include "config/lint/shell_script.hpp"
#include "config/quoted_path.hpp"
#include "config/text_check.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = flow_runner::utf8_length(text);
    if (length == 0) return false;
    const std::string_view symbol = text.substr(0, length);
    if (symbol == "\n" || symbol == "\r" || symbol == "\t") return false;
    if (flow_runner::classify_character(symbol) != flow_runner::CharacterClass::ordinary)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

/// Every span lies within the text, and within what holds it.
void check_shell(std::string_view text) {
  const auto script = flow_runner::lint::read_shell(text);
  for (const auto& command : script.commands) {
    require(command.span.begin <= command.span.end && command.span.end <= text.size());
    for (const auto& word : command.words) {
      require(word.span.begin <= word.span.end && word.span.end <= text.size());
      for (const auto& expansion : word.expansions)
        require(expansion.span.begin >= word.span.begin && expansion.span.end <= word.span.end);
    }
  }
  for (const auto& expansion : script.expansions)
    require(expansion.span.begin <= expansion.span.end && expansion.span.end <= text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_shell(bytes);
  const auto findings = flow_runner::lint::lint_flow(bytes);
  require(findings.size() <= 700);
  const auto lines = std::count(bytes.begin(), bytes.end(), '\n') + 1;
  for (const auto& finding : findings) {
    require(finding.line >= 0 && finding.line <= lines && finding.column >= 0);
    require(finding.message.size() < 700 && finding.cure.size() < 400);
    require(is_printable(finding.message) && is_printable(finding.cure));
    for (const auto& edit : finding.fix)
      require(edit.begin <= edit.end && edit.end <= bytes.size());
  }
  require(!flow_runner::lint::format_json({{"f", findings}}).empty());
  const auto fixed = flow_runner::lint::fix_flow(bytes);
  const bool was_flow = flow_runner::parse_flow(bytes, {}).flow.has_value();
  require(!was_flow || flow_runner::parse_flow(fixed.bytes, {}).flow.has_value());
  return 0;
}
