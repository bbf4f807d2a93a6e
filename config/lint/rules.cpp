#include "config/lint/rules.hpp"

#include <array>

namespace flow_runner::lint {

std::string_view to_string(Severity severity) noexcept {
  switch (severity) {
    case Severity::error:
      return "error";
    case Severity::warning:
      return "warning";
    case Severity::note:
      break;
  }
  return "note";
}

std::span<const Rule> rules() {
  static constexpr std::array<Rule, 24> all = {{
      {"flow-file", "the file is no valid flow, or holds a key that nobody reads"},
      {"shell-syntax", "a quote, substitution or here-document is never closed"},
      {"unknown-option", "a program is given an option that it does not have"},
      {"test-operator", "`[` or `test` is given an operator that does not exist"},
      {"push-tail", "a hand-written detect-and-push ending loses work"},
      {"workload-ref", "CI_WORKLOAD_REF is used as if it were always a branch"},
      {"fixed-push-url", "a push goes to one fixed project"},
      {"token-in-url", "a token stands in an address"},
      {"token-in-argument", "a token is an argument of a program"},
      {"literal-secret", "a token or key is written into the file"},
      {"secret-printed", "a secret is printed into the log"},
      {"unquoted-write", "a value is written into a file without quotes around it"},
      {"file-variable", "the content of a variable is written that may hold a path"},
      {"prompt-substitution", "the shell runs what is text of a prompt"},
      {"context-in-argument", "a context of any size becomes one argument"},
      {"undeclared-variable", "a variable is used that nobody gives"},
      {"unused-variable", "a variable is listed and not used"},
      {"unavailable-variable", "a predefined variable is used that flow jobs do not get"},
      {"pipe-to-shell", "a download is run unseen"},
      {"unpinned-install", "a package is installed in whatever version is newest"},
      {"image-without-tag", "an image has no tag, or `latest`"},
      {"agent-without-guard", "an agent's own guard is switched off"},
      {"listed-injected", "a variable is listed that every job has"},
      {"xtrace", "every command is printed with its values"},
  }};
  return all;
}

}  // namespace flow_runner::lint
