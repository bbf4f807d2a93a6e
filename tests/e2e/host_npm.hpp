// npm as the person who runs the tests has set it up: where real agents are installed from.
#pragma once

#include <filesystem>
#include <string>

namespace flow_runner::e2e {

/// The CAs that this host's own programs trust; empty: none was found.
std::filesystem::path trusted_bundle();

/// The registry's address by npm's configuration; empty: npm's own default.
std::string npm_registry();

/// Why nothing can be installed from there; empty: it can, as far as can be told from outside.
std::string registry_objection();

/// FLOW_RUNNER_OFFLINE is in the environment: tests that need the registry may be skipped.
bool allowed_offline();

}  // namespace flow_runner::e2e
