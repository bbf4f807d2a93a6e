// ProbeOutside: what the prober looks for outside of its sandbox, with real listeners, in
// namespaces that stand for the host.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// A process of its own (named probe-victim) listens at addresses of an otherwise empty network
/// namespace, on sockets by name and by path, as a name server and as a proxy without rules; it
/// lets connections in and answers every datagram. Nothing leaves this machine.
class ProbeOutside {
 public:
  /// Before: this process is single-threaded, and alone in its network and IPC namespace, over which
  /// it has all rights. `folder`: empty; what a job must not see of the host's files.
  static Result<ProbeOutside> start(const std::filesystem::path& folder);
  ProbeOutside(ProbeOutside&&) noexcept = default;
  ProbeOutside& operator=(ProbeOutside&&) = delete;
  ~ProbeOutside();  ///< kills the process

  /// What the prober has to know, as NAME=value.
  [[nodiscard]] const std::vector<std::string>& facts() const noexcept { return facts_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
  ProbeOutside() = default;

  std::filesystem::path folder_;
  std::vector<std::string> facts_;
  /// The process ends when this is closed.
  Descriptor alive_;
};

}  // namespace flow_runner
