// The executor's processes: an outer one, and an inner one that is PID 1 of its own PID namespace.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flow_runner {

/// Entry of the hidden command `job-executor`. `arguments` (without program and command name):
///   run STATE_DIR ID       the job comes over descriptor 3, the job directory's lock is descriptor
///   4 salvage STATE_DIR ID   no secrets, no script: what a dead executor left becomes a bundle
/// Must be called before any thread exists. The outer process forks the inner one and waits for it;
/// the inner one has SIGKILL as its parent-death signal and holds a pipe of the outer's. Whichever
/// is killed, the kernel ends everything below and every mount. TERM or INT to the outer asks the
/// job to stop. Returns the exit code: 0 when a result was written.
int executor_main(const std::vector<std::string>& arguments);

}  // namespace flow_runner
