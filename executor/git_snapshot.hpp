// make_snapshot: a commit as a read-only checkout with a ready index, full or as a layer on another
// one.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "config/result.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

/// A delta has at most this many changed files, folders and whiteouts, and at most a quarter of the
/// base's files; a bigger one would make every job's look-ups slower for no gain.
inline constexpr std::uint64_t max_delta_changes = 5'000;

using GitProgress =
    std::function<void(std::string_view text, std::uint64_t done, std::uint64_t total)>;

/// Makes request.directory; see SnapshotRequest. Before: libgit2 is initialised (GitLibrary), and
/// the parent folder exists, on a file system that only we write to. After an Error nothing is left
/// but, when the process was killed, `directory`.tmp-<random> for whoever sweeps. A base that is
/// not there, not full or not readable, and a delta that would be too big, lead to a full snapshot.
///
/// Files get the commit's time as modification time, but one in the past: with an index written
/// after them, `core.checkStat=minimal` and `core.trustctime=false`, git rehashes none of them (the
/// rule for racy entries in git's Documentation/technical/racy-git.txt).
///
/// Errors: invalid_input (commit id, names or sizes in the commit that are refused, `directory` is
/// there already), not_found (no such commit), unavailable (disk full), denied, internal.
Result<SnapshotInfo> make_snapshot(const SnapshotRequest& request,
                                   const GitProgress& progress = {});

}  // namespace flow_runner
