// Flow: what a flow file asks for, as plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flow_runner {

/// When the image is fetched although a local copy exists. Names as in GitLab and Docker.
enum class PullPolicy { always, if_not_present, never };

/// How a job reaches the network, from narrow to wide. `proxy`: only what a policy names, through a
/// proxy that is the only thing in the job's network. `host`: the host's own network, which must be
/// asked for by that word.
enum class NetworkMode { none, proxy, host };

/// Where a job in proxy mode finds its proxy: on 127.0.0.1 of its own network.
inline constexpr std::uint16_t proxy_port_in_job = 3128;

/// Upper bounds of a job's resources. Absent: the runner's setting applies. A flow can only narrow.
struct ResourceLimits {
  std::optional<std::uint64_t> memory_bytes;
  std::optional<double> cpus;  ///< cores; 0: unlimited
  std::optional<std::uint64_t> pids;
  std::optional<std::uint64_t> disk_bytes;

  bool operator==(const ResourceLimits&) const = default;
};

/// The keys under `x-flow-runner`, our own; each may only narrow what the runner allows.
struct FlowExtensions {
  std::optional<NetworkMode> network;
  /// Entries as written, checked; a preset's name (network_presets.hpp) stands for its entries.
  /// Absent: the flow leaves it to what the job was given.
  std::optional<std::vector<std::string>> network_allow;
  std::vector<std::string> network_deny;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<std::chrono::milliseconds> idle_timeout;
  ResourceLimits resources;
  std::vector<std::string> setup;  ///< commands run before `commands`, in the same shell
  std::optional<std::string> publish_on_failure;  ///< keep | push
  std::optional<std::string> publish_message;     ///< first line of our commit

  bool operator==(const FlowExtensions&) const = default;
};

/// A flow's image: the mapping form of GitLab's `image:`, of which the string form sets the name
/// only.
struct FlowImage {
  std::string name;
  std::vector<std::string>
      entrypoint;  ///< accepted and not used: the script's shell is the process
  std::optional<PullPolicy> pull_policy;

  bool operator==(const FlowImage&) const = default;
};

/// A parsed and checked flow file.
struct Flow {
  FlowImage image;
  std::vector<std::string> commands;   ///< never empty; nested lists flattened
  std::vector<std::string> variables;  ///< names of CI/CD variables that the flow asks for
  FlowExtensions extensions;
  std::string path;    ///< as given by the user; for messages
  std::string sha256;  ///< of the file's bytes, lower-case hex

  bool operator==(const Flow&) const = default;
};

}  // namespace flow_runner
