#include "config/version.hpp"

namespace flow_runner {

std::string_view version() noexcept { return FLOW_RUNNER_VERSION; }

}  // namespace flow_runner
