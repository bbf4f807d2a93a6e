// Sandbox: the place where a job's commands run, whatever makes it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "config/flow.hpp"
#include "config/result.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/cgroup.hpp"
#include "sandbox/id_map.hpp"
#include "sandbox/oci_bundle.hpp"
#include "sandbox/process.hpp"
#include "sandbox/sandbox_layer.hpp"

namespace flow_runner {

/// What a job was promised. What the host cannot give is a refusal (denied), never a warning.
struct SandboxSpec {
  std::string id;                 ///< names the cgroup and the container
  std::filesystem::path scratch;  ///< empty folder on a tmpfs of this mount namespace
  std::filesystem::path
      root_overlay;  ///< empty folder on disk: what the job writes outside its mounts
  std::vector<std::filesystem::path> image_layers;  ///< bottom first
  std::uint32_t uid = 0;                            ///< the image's user, in the container
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
  std::vector<BundleMount> mounts;  ///< the workspace among them; sources already owned for the job
  const IdRange* ids = nullptr;     ///< outlives the sandbox
  CgroupLimits limits;
  std::uint64_t tmp_bytes = 1ULL << 30;
  std::uint64_t file_bytes = 0;  ///< the largest file that the job may write; 0: no limit
  NetworkMode network = NetworkMode::none;
  /// Layers that must be had (as layers() names them); "all" stands for every one. Of the others,
  /// what this host cannot give is left out and told by missing_layers().
  std::vector<std::string> required_layers = {"all"};
  LayerSet taken_away;  ///< see BundleSpec; no job sets it
};

/// One command in the sandbox. stdin is /dev/null, unless it has a terminal.
struct SandboxCommand {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  ///< NAME=value; nothing else is set
  std::filesystem::path working_directory;
  int output_fd = -1;                                         ///< stdout and stderr; borrowed
  std::chrono::milliseconds grace{std::chrono::seconds(10)};  ///< between TERM and KILL
  /// Not empty: stdin, stdout and stderr are a new terminal of the container's, whose master comes
  /// here before the command starts. `output_fd` then gets the runtime's own words.
  std::function<void(Descriptor master)> on_terminal{};
};

struct SandboxExit {
  ExitStatus status;
  std::uint64_t oom_kills = 0;      ///< processes killed because the job's memory limit was reached
  std::uint64_t refused_tasks = 0;  ///< not started because the job's limit of tasks was reached
  bool swap_unlimited = false;      ///< the memory limit did not hold for the host's swap
};

/// Order: prepare once, run any number of times one after the other, destroy. One thread.
class Sandbox {
 public:
  virtual ~Sandbox() = default;

  /// Makes everything a run needs. After a failure only destroy may be called.
  virtual asio::awaitable<Result<void>> prepare(SandboxSpec spec, Cancellation& cancellation) = 0;

  /// Runs to the end. A cancellation sends TERM to every process in the sandbox, and after the
  /// command's grace (or kill_now) KILL to all; then the exit is reported like any other. No
  /// process of the command is left when it returns. An Error means that the command did not start.
  virtual asio::awaitable<Result<SandboxExit>> run(SandboxCommand command,
                                                   Cancellation& cancellation) = 0;

  /// Ends what still runs and takes everything down that prepare made, the data on disk excepted.
  /// Safe after any failure and when called twice; not affected by cancellations.
  virtual asio::awaitable<Result<void>> destroy() = 0;

  /// Names of the isolation layers in force, for the result.
  [[nodiscard]] virtual std::vector<std::string> layers() const = 0;
  /// Names of those that the host could not give and nobody insisted on.
  [[nodiscard]] virtual std::vector<std::string> missing_layers() const = 0;
};

}  // namespace flow_runner
