// Diagnostic: one remark on a configuration file, with its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flow_runner {

enum class Severity : std::uint8_t { error, warning };

/// One mistake or doubt. Lines and columns count from 1, columns in characters; line 0: the whole
/// file. The message is UTF-8 without control characters, bounded in length.
struct Diagnostic {
  int line = 0;
  int column = 0;
  Severity severity = Severity::error;
  std::string message;

  bool operator==(const Diagnostic&) const = default;
};

/// `file:line:column: message`, `file:line:column: warning: message`, or without numbers for the
/// whole file.
std::string format_diagnostic(std::string_view path, const Diagnostic& diagnostic);

/// Whether any of them is an error.
bool has_error(const std::vector<Diagnostic>& diagnostics) noexcept;

/// Collects diagnostics of one file. The number of each severity is bounded, so that a flood of
/// warnings cannot push out an error.
class DiagnosticList {
 public:
  explicit DiagnosticList(std::size_t max_of_each = 50) : max_of_each_(max_of_each) {}

  void error(int line, int column, std::string message);
  void warning(int line, int column, std::string message);
  [[nodiscard]] bool has_error() const noexcept { return errors_ > 0; }
  [[nodiscard]] std::size_t errors() const noexcept { return errors_; }

  /// All of them in the order of the file, with a last line when some were left out.
  [[nodiscard]] std::vector<Diagnostic> take();

 private:
  std::size_t max_of_each_;
  std::size_t errors_ = 0;
  std::size_t warnings_ = 0;
  std::vector<Diagnostic> diagnostics_;
};

/// A piece of untrusted text for a message: in backticks, control and invisible characters and
/// bytes that are not UTF-8 as \xNN, cut after about 60 bytes.
std::string shown(std::string_view text);

}  // namespace flow_runner
