// The version of this build.
#pragma once

#include <string_view>

namespace flow_runner {

/// MAJOR.MINOR.PATCH, from the build system; compiled in one place, so that a new version rebuilds
/// one file.
std::string_view version() noexcept;

}  // namespace flow_runner
