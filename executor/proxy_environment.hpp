// ProxyEnvironment: the variables by which a job's tools find the proxy of its network.
#pragma once

#include <map>
#include <string>

#include "config/variables.hpp"

namespace flow_runner {

/// Sets them. They replace what the image or the job says, for no other proxy can be reached from
/// there; only JAVA_TOOL_OPTIONS keeps what it has, before ours.
void set_proxy_variables(std::map<std::string, std::string>& environment);

/// One line that names the job's own variables that set_proxy_variables() replaces; empty: none.
std::string replaced_proxy_variables(const ResolvedVariables& variables);

}  // namespace flow_runner
