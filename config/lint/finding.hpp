// Finding: one thing that a flow does wrong, where it is, and how it is mended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flow_runner::lint {

/// error: loses work, leaks, or cannot run. warning: may. note: right in some places only.
enum class Severity : std::uint8_t { error, warning, note };

std::string_view to_string(Severity severity) noexcept;

/// Bytes [begin, end) of the file become `text`.
struct Edit {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;

  bool operator==(const Edit&) const = default;
};

/// Messages name variables, commands and options; never a value that could be a secret.
struct Finding {
  std::string_view rule;  ///< an id of rules()
  Severity severity = Severity::error;
  std::size_t offset = 0;  ///< in the file
  int line = 0;            ///< from 1; 0: the whole file
  int column = 0;          ///< from 1, in characters
  std::string message;     ///< what and why
  std::string cure;
  std::vector<Edit> fix;  ///< applied together or not at all; empty: none of its own
  bool fixable = false;   ///< by its own fix, or because another one removes its place
};

}  // namespace flow_runner::lint
