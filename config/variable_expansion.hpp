// Variable expansion: `$NAME` references between variables, resolved once and within bounds.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/secret.hpp"

namespace flow_runner {

/// The most bytes that one value may grow to, and all together.
inline constexpr std::size_t max_expanded_value_bytes = 1024 * 1024;
inline constexpr std::size_t max_expanded_total_bytes = 8 * 1024 * 1024;

/// One variable in, and out with its value expanded.
struct ExpansionEntry {
  std::string name;  ///< unique in the list
  Secret value;
  bool raw = true;      ///< the value is not expanded, but may be referred to
  bool opaque = false;  ///< references to this one stay as written (file variables)
  bool secret = false;  ///< becomes true when a secret was expanded into the value
};

/// What could not be expanded and keeps its references as written.
struct ExpansionProblems {
  std::vector<std::string> cyclic;     ///< refer to themselves, or to one that does
  std::vector<std::string> too_large;  ///< would exceed the limits above
};

/// Expands `$NAME` and `${NAME}` to the expanded value of that entry and `$$` to `$`, in an order
/// in which what is referred to comes first, as GitLab sorts them. What was put in is not read
/// again; names that are not in the list stay as written. Time and memory are bounded by the
/// limits, whatever the values are.
ExpansionProblems expand_variables(std::vector<ExpansionEntry>& entries);

/// Whether a text refers to the name as `$NAME` or `${NAME`, the name ending there (for
/// `${NAME:-x}` too).
bool refers_to(std::string_view text, std::string_view name);

}  // namespace flow_runner
