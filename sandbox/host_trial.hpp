// Host trial: whether the mounts that jobs are made of work on this host, found out by making them.
#pragma once

#include <filesystem>

#include "config/result.hpp"

namespace flow_runner {

/// In a child with a mount namespace of its own: an overlay on `folder` (exists, on the disk where
/// jobs live, emptied again), with the ids of a job where root makes it; with renames of folders
/// too. An Error says which mount failed. Before: a single thread.
Result<void> try_job_mounts(const std::filesystem::path& folder);

}  // namespace flow_runner
