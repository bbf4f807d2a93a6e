// Scratch: the folder on which a job's private tmpfs is mounted.
#pragma once

#include <filesystem>

#include "config/result.hpp"

namespace flow_runner {

/// A folder that every user can reach, the job's among them: /run/flow-runner, made where that is
/// possible; without root, where nobody has made it, an empty folder that every host has. Mounting
/// on it hides nothing. Denied when there is none, with the cure.
Result<std::filesystem::path> scratch_folder();

}  // namespace flow_runner
