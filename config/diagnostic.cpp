#include "config/diagnostic.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "config/quoted_path.hpp"
#include "config/text_check.hpp"

namespace flow_runner {

std::string format_diagnostic(std::string_view path, const Diagnostic& diagnostic) {
  std::string text(path);
  if (diagnostic.line > 0) {
    text += ':' + std::to_string(diagnostic.line) + ':' + std::to_string(diagnostic.column);
  }
  text += diagnostic.severity == Severity::warning ? ": warning: " : ": ";
  return text + diagnostic.message;
}

bool has_error(const std::vector<Diagnostic>& diagnostics) noexcept {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) { return d.severity == Severity::error; });
}

void DiagnosticList::error(int line, int column, std::string message) {
  if (errors_++ < max_of_each_) {
    diagnostics_.push_back({line, column, Severity::error, std::move(message)});
  }
}

void DiagnosticList::warning(int line, int column, std::string message) {
  if (warnings_++ < max_of_each_) {
    diagnostics_.push_back({line, column, Severity::warning, std::move(message)});
  }
}

std::vector<Diagnostic> DiagnosticList::take() {
  std::stable_sort(diagnostics_.begin(), diagnostics_.end(),
                   [](const Diagnostic& a, const Diagnostic& b) {
                     return std::tie(a.line, a.column) < std::tie(b.line, b.column);
                   });
  const auto left_out = [this](std::size_t count) {
    return count > max_of_each_ ? count - max_of_each_ : 0;
  };
  if (const std::size_t more = left_out(errors_) + left_out(warnings_); more > 0) {
    diagnostics_.push_back({0, 0, left_out(errors_) > 0 ? Severity::error : Severity::warning,
                            "and " + std::to_string(more) + " more"});
  }
  errors_ = warnings_ = 0;
  return std::exchange(diagnostics_, {});
}

std::string shown(std::string_view text) {
  static constexpr std::size_t max_shown_bytes = 60;
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out = "`";
  std::string_view rest = utf8_prefix(text, max_shown_bytes);
  const bool cut = rest.size() < text.size();
  while (!rest.empty()) {
    const std::size_t length = utf8_length(rest);
    const std::string_view symbol = rest.substr(0, std::max<std::size_t>(length, 1));
    const bool plain = length > 0 && symbol != "\n" && symbol != "\r" && symbol != "\t" &&
                       classify_character(symbol) == CharacterClass::ordinary;
    if (plain) {
      out += symbol;
    } else {
      for (const char c : symbol) {
        const auto byte = static_cast<unsigned char>(c);
        out += "\\x";
        out += digits[byte >> 4];
        out += digits[byte & 15];
      }
    }
    rest.remove_prefix(symbol.size());
  }
  out += '`';
  return cut ? out + "…" : out;
}

}  // namespace flow_runner
