// `flow-runner image`: loads, lists and prunes the images of this runner's own store.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace flow_runner::cli {

/// Adds `image load FILE [--name NAME]`, `image list [--json]` and `image prune [--older-than D |
/// --all]`, each with `--state-dir DIR`. `chosen` becomes the one that was asked for; it returns
/// the program's exit code (console.hpp).
void add_image_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace flow_runner::cli
