#include "executor/script.hpp"

namespace flow_runner {

std::string shell_quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return quoted + "'";
}

std::string build_script(const std::vector<std::string>& commands) {
  std::string script =
      "set -o errexit\n"
      "if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi\n";
  for (const auto& command : commands) {
    std::string first = command.substr(0, command.find('\n'));
    if (!first.empty() && first.back() == '\r') first.pop_back();
    script += "printf '%s\\n' " + shell_quote("$ " + first) + "\n" + command + "\n";
  }
  return script;
}

}  // namespace flow_runner
