// Confinement of the proxy: what a process that reads an attacker's bytes keeps, for good.
#pragma once

#include <cstdint>

#include "config/result.hpp"

namespace flow_runner {

/// Afterwards: the given user and no groups (where the caller may choose and its user namespace
/// maps both ids; else it stays who it is), no capability in any set, no_new_privs, not dumpable,
/// no core dumps, killed with its parent, and a seccomp filter: sockets of the families unix, inet,
/// inet6 and netlink, files for reading only, threads; no program, process, mount, namespace, key,
/// tracing or signal to others. Other calls answer EPERM.
///
/// Before: a single thread. On an Error the process must end without reading anything more.
Result<void> confine_proxy(std::uint32_t uid, std::uint32_t gid);

}  // namespace flow_runner
