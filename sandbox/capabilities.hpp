// Capabilities: giving up for good what a process has no use for.
#pragma once

#include <span>

#include "config/result.hpp"

namespace flow_runner {

/// Leaves this process, and all that it will ever start in this user namespace, at most the named
/// capabilities (CAP_… of <linux/capability.h>): bounding set, permitted, effective; inheritable
/// and ambient become empty. Those that it does not have it does not get. Needs CAP_SETPCAP for the
/// bounding set; without it only that stays as it is when the process has no rights to lose.
/// A single thread. Source: capabilities(7).
Result<void> keep_capabilities(std::span<const int> kept);

/// The bounding set alone: what no program that is executed later can get. What this process has,
/// it keeps. EPERM without CAP_SETPCAP.
Result<void> shrink_bounding_set(std::span<const int> kept);

}  // namespace flow_runner
