// The OCI bundle of a job: from what a sandbox needs to a runtime's config.json. Pure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/flow.hpp"
#include "sandbox/id_map.hpp"
#include "sandbox/sandbox_layer.hpp"
#include "sandbox/seccomp.hpp"

namespace flow_runner {

/// A host folder or file that the container sees.
struct BundleMount {
  std::filesystem::path source;
  std::filesystem::path destination;
  bool read_only = true;
};

struct BundleSpec {
  std::filesystem::path rootfs;
  std::vector<std::string> argv;
  std::vector<std::string> environment;  ///< NAME=value
  std::filesystem::path working_directory = "/";
  std::uint32_t uid = 0;  ///< in the container
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
  std::string hostname = "flow";
  IdMapping ids;  ///< the job's range
  std::vector<BundleMount> mounts;
  NetworkMode network = NetworkMode::none;
  std::filesystem::path user_namespace;     ///< joined when not empty; `ids` is its map
  std::filesystem::path network_namespace;  ///< joined when not empty
  bool terminal = false;  ///< a terminal of the container's own; its master goes to a socket
  std::uint64_t tmp_bytes = 1ULL << 30;
  std::uint64_t shm_bytes = 64ULL << 20;
  std::filesystem::path cgroup_path;  ///< only for runtimes that insist on one
  NestedNamespaces nested = NestedNamespaces::deny;
  /// Layers that the container goes without: only for showing what each of them holds back. No job
  /// sets it. Those that a bundle does not hold (limits, the proxy's policy, the mount namespace)
  /// are taken away by isolation_probe_run.
  LayerSet taken_away;
};

/// runtime-spec 1.0.2. All but podman's default capabilities are dropped, no_new_privs is set,
/// /proc and /sys are masked as usual, /tmp and /dev/shm are bounded. No rlimits: the job inherits
/// the runtime's, for a runtime could not set them in a user namespace that belongs to another
/// user.
nlohmann::json oci_config(const BundleSpec& spec);

}  // namespace flow_runner
