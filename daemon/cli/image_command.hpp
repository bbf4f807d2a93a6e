// `flow-runner image`: loads, lists and prunes the images of this runner's own store.
#pragma once

namespace CLI {
class App;
}

namespace flow_runner::cli {

/// Adds `image load FILE [--name NAME]`, `image list [--json]` and `image prune [--older-than D |
/// --all]`, each with `--state-dir DIR`. The one that was asked for runs while the command line is
/// parsed; exit_code becomes that of the program (console.hpp).
void add_image_command(CLI::App& app, int& exit_code);

}  // namespace flow_runner::cli
