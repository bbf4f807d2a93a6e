// OciRuntime: the program that turns a bundle into a running container: crun, or runc.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner {

/// A runtime that was seen to work on this host.
struct OciRuntime {
  std::filesystem::path program;
  bool wants_cgroup_path = false;  ///< runc makes a cgroup of its own unless it is told ours

  [[nodiscard]] bool is_runc() const { return program.filename() == "runc"; }

  /// The command line that runs the bundle in the foreground; errors of its own go to `log`.
  [[nodiscard]] std::vector<std::string> run_command(const std::filesystem::path& root,
                                                     const std::filesystem::path& bundle,
                                                     const std::filesystem::path& log,
                                                     const std::string& id) const;
};

/// Where a program of the host is, in the usual folders, whatever PATH says; empty: nowhere.
std::filesystem::path find_host_program(const char* name);

/// Where catatonit is: the init that jobs get as PID 1.
Result<std::filesystem::path> find_init();

/// Takes crun, or else runc, whichever runs a probe container on this host. `cache` remembers the
/// answer with the programs' and the kernel's identity; a probe costs some 50 ms. `scratch` must
/// lie on a tmpfs of a private mount namespace from which a hybrid host's v2 tree is hidden
/// (crun 1.8 refuses otherwise).
boost::asio::awaitable<Result<OciRuntime>> find_oci_runtime(const std::filesystem::path& cache,
                                                            const std::filesystem::path& scratch,
                                                            Cancellation& cancellation);

}  // namespace flow_runner
