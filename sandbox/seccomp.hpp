// The seccomp profile of a job's sandbox, as the `linux.seccomp` object of an OCI bundle.
#pragma once

#include <nlohmann/json.hpp>

namespace flow_runner {

/// Whether a job may make user namespaces of its own (and mount inside them): each is kernel attack
/// surface that ordinary build tools do not need, so it has to be asked for.
enum class NestedNamespaces { deny, allow };

/// An allow-list for the native architecture only (rules for more cost start-up time, and a foreign
/// ABI is a way round argument checks). What is dangerous and known answers EPERM, what is unknown
/// ENOSYS, so that programs fall back. Stricter than containers-common's profile: no unshare,
/// setns, mount family, namespace flags of clone, ptrace, keyctl, bpf, perf, userfaultfd, io_uring,
/// and only the address families unix, inet, inet6 and netlink. Shape: OCI runtime-spec,
/// config-linux.md#seccomp.
nlohmann::json seccomp_profile(NestedNamespaces nested);

}  // namespace flow_runner
