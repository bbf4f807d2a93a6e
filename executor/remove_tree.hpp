// remove_tree: removes a folder with whatever an agent has put into it.
#pragma once

#include <filesystem>

#include "config/result.hpp"

namespace flow_runner {

/// Removes `path` and all below it, of any depth and with any names and modes, with at most 64
/// descriptors and no recursion beyond that; follows no link and leaves mounts to fail. A path that
/// is not there is no error.
Result<void> remove_tree(const std::filesystem::path& path);

}  // namespace flow_runner
