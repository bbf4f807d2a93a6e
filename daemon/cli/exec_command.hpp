// `flow-runner exec`: runs one flow from the calling terminal.
#pragma once

#include "daemon/cli/exec_options.hpp"

namespace flow_runner::cli {

/// Runs to the job's end (or shows the plan) and returns the exit code.
int exec_command(const ExecArguments& arguments);

}  // namespace flow_runner::cli
