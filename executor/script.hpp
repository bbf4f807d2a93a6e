// Script: the one shell program that a flow's commands become.
#pragma once

#include <string>
#include <vector>

namespace flow_runner {

/// All commands in one shell, in order, so that `cd`, `export` and functions last; errexit, and
/// pipefail where the shell knows it. Each command is announced as `$ first line` before it runs,
/// unexpanded. Written for sh and bash alike.
std::string build_script(const std::vector<std::string>& commands);

/// `text` as one word of a POSIX shell.
std::string shell_quote(const std::string& text);

}  // namespace flow_runner
