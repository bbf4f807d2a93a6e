// The command line of flow-runner.
#pragma once

namespace flow_runner::cli {

/// Runs the command that argv names and returns the process's exit code. Lets no exception out.
int run(int argc, char** argv);

}  // namespace flow_runner::cli
