// Lint: what is wrong with a flow file beyond its form, and the same file with what can be mended.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/lint/finding.hpp"

namespace flow_runner::lint {

/// Looks at a flow file's bytes; in the order of the file. What parse_flow() reports is among the
/// findings. For any bytes: no exception but std::bad_alloc, bounded time and memory.
std::vector<Finding> lint_flow(std::string_view bytes);

struct Fixed {
  std::string bytes;
  std::size_t count = 0;  ///< of findings that are gone
};

/// Applies the fixes that lint_flow() knows, until there are none. Everything else stays byte for
/// byte; a fix after which the file would be a worse flow than before is left out.
Fixed fix_flow(std::string_view bytes);

/// Whether one of them is as severe as `level`.
bool reaches(const std::vector<Finding>& findings, Severity level) noexcept;

}  // namespace flow_runner::lint
