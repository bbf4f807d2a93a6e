// take_over: reads what a job left in its workspace and makes commits of it in a quarantine.
#pragma once

#include "config/result.hpp"
#include "executor/git_content_sink.hpp"
#include "executor/git_protocol.hpp"

namespace flow_runner {

/// Reads the workspace `request.merged` and makes `request.quarantine` (absent or an empty folder
/// before), a bare repository whose alternate is the mirror, with every object that is new.
///
/// Before: all processes of the job are dead and nothing else writes to the four folders; libgit2
/// is initialised (GitLibrary); with `request.confine` the process has a single thread and
/// CAP_SYS_ADMIN. With `request.confine` the process confines itself for good after it has listed
/// the upper folder and before it reads any content (see git_confinement.hpp): afterwards it can do
/// nothing but finish and end. Descriptors that are open already (stdout) stay usable.
///
/// After: HEAD of the quarantine is detached at ChangeSet::head, and kept_refs are in its
/// packed-refs. `sink` has been given all that lies between base and head and is new: per commit
/// its raw object (kind message), each added, modified or deleted path against the first parent
/// (kind path, its bytes are the path) and each new blob once.
///
/// Errors: invalid_input for a request or a workspace that is over a limit (named in the message),
/// denied when the process cannot confine itself, internal for the rest. A broken `.git` of the
/// agent is no error: see ChangeSet::repository_broken.
Result<ChangeSet> take_over(const TakeOverRequest& request, ContentSink& sink);

}  // namespace flow_runner
