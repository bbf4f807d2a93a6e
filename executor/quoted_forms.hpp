// Quoted forms: how JSON, shells and C-like languages write a value within their quotes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flow_runner {

/// Each appends the spellings of `value` that it does not find in `out`.
void add_json_forms(std::string_view value, std::vector<std::string>& out);
/// What stands between single or double quotes, or unquoted with backslashes, as shells and the
/// libraries that quote for them write it; and the same within a JSON string.
void add_shell_forms(std::string_view value, std::vector<std::string>& out);
/// What stands between the quotes of C, Python, JavaScript, and of `$'…'`.
void add_c_forms(std::string_view value, std::vector<std::string>& out);

/// Most encoders agree about most values: a long one is not to be kept dozens of times.
void add_unless_known(std::string text, std::vector<std::string>& out);

}  // namespace flow_runner
