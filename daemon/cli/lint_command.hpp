// `flow-runner lint`: what is wrong with flow files, and the same files mended.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace flow_runner::cli {

/// Declares the command; when it is chosen, `chosen` becomes what runs it and returns the exit
/// code: 0, 1 when a finding is as severe as --fail-on, 64 for wrong use or an unreadable file.
void add_lint_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace flow_runner::cli
