// RegistryAddresses: the package registries that this host's own npm, pip and apt are set to use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/network_policy.hpp"

namespace flow_runner {

/// Addresses in an npmrc: `registry=` and `@scope:registry=`. Pure; other lines mean nothing.
std::vector<std::string> npm_registries(std::string_view npmrc);
/// Addresses in a pip.conf: `index-url`, `extra-index-url` and `find-links`, of any section;
/// several in one value are told apart by white space.
std::vector<std::string> pip_registries(std::string_view pip_conf);
/// Addresses in an apt source list: one-line entries (`deb [options] URI suite …`) and deb822
/// (`URIs: …`).
std::vector<std::string> apt_registries(std::string_view sources);

/// Reads the usual files (npmrc of user and host, pip.conf, /etc/apt/sources.list and
/// sources.list.d) and variables (NPM_CONFIG_REGISTRY, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL) and
/// makes rules of the preset `registries`, each once. Files are read to 1 MiB and 100 source lists;
/// what cannot be read is none. What a tool uses when nothing is configured is not known here.
std::vector<NetworkRule> registry_rules();

}  // namespace flow_runner
