// Rootless: the user namespace in which flow-runner works for an ordinary user.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "config/result.hpp"
#include "sandbox/id_map.hpp"

namespace flow_runner {

/// Whether this process is in a user namespace that lacks the host's ids: then what it may do ends
/// at that namespace (no id-mapped mounts of the host's file systems, no trusted.* attributes, no
/// device nodes), even as its root.
bool is_rootless();

/// The host's id of the user whom this process runs for: the real one, also in the namespace.
std::uint32_t host_uid();

/// First subordinate range of at least IdRange::size ids in a subuid(5) or subgid(5) file that
/// belongs to the user, named or by number. Pure.
std::optional<IdMapping> parse_subordinate_range(std::string_view file, std::string_view user,
                                                 std::uint32_t uid);

/// For an ordinary user: goes into a user namespace of its own and executes the program there again
/// with the same arguments; returns only on failure. In the namespace 0 is the user, who keeps
/// owning the state folder, and 1…65536 are the user's subordinate ids: a job's root is one of
/// those, so that whoever breaks out of a job is not even the user. newuidmap and newgidmap are the
/// only programs with rights that are used, and only for this.
/// For root, of the host or of a namespace: does nothing.
/// Before: a single thread. Errors: denied with the cure (no subordinate ids, user namespaces
/// switched off, newuidmap missing).
Result<void> enter_user_namespace(char** argv);

}  // namespace flow_runner
