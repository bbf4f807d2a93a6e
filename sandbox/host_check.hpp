// Host check: what this host offers to jobs and what it lacks, each with its cure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

enum class HostState : std::uint8_t {
  good,
  limited,  ///< jobs run, with less than they could have
  missing,  ///< jobs are refused
};
std::string_view to_string(HostState state);

struct HostFact {
  std::string name;
  HostState state = HostState::good;
  std::string detail;
  std::string cure;  ///< empty when good
};

struct HostCheckSpec {
  std::filesystem::path state;     ///< exists
  std::filesystem::path programs;  ///< where flow-runner-git and its kin are
  /// Why this process could not enter a user namespace, when it should have.
  std::optional<Error> no_user_namespace;
};

/// Looks, and tries mounts in a child's mount namespace; changes nothing. Runs no container: whether
/// those work is for probe_isolation. Before: a single thread.
std::vector<HostFact> check_host(const HostCheckSpec& spec);

/// Whether a kernel release (`6.1.0-13-amd64`) is at least the version. Pure.
bool is_kernel_at_least(std::string_view release, unsigned major, unsigned minor);

}  // namespace flow_runner
