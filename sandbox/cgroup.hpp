// Cgroup: the control group of one job, on hosts with cgroup v1, v2 or both (hybrid).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// Limits that the group must enforce. One that the host cannot give is a refusal, never a warning.
struct CgroupLimits {
  std::uint64_t memory_bytes = 0;  ///< memory and swap together; 0: unlimited
  std::uint64_t pids = 0;          ///< tasks; 0: unlimited
  double cpus = 0;                 ///< cores of CPU time per wall time; 0: unlimited
};

/// Where a host's controllers are mounted and below which of its groups jobs get theirs.
struct CgroupHierarchy {
  std::vector<std::string>
      controllers;               ///< memory, pids, cpu, freezer; all of v2's for the v2 tree
  std::filesystem::path parent;  ///< the folder `flow-runner` in which job groups are made
  bool unified = false;
  /// `parent` lies at the hierarchy's top. A runtime that makes a cgroup by path finds only those.
  bool at_top = false;
};

/// Reads /proc/self/mountinfo and /proc/self/cgroup (given as text, for tests). The hierarchies
/// that matter here: those with memory, pids, cpu or freezer, and the v2 tree.
std::vector<CgroupHierarchy> parse_cgroup_hierarchies(std::string_view mountinfo,
                                                      std::string_view own_cgroups);
/// Of this host; for a rootless process only those parts that were delegated to its user (v1: the
/// own group; v2: the nearest group above the own one that the user may write, since a group with
/// processes cannot hand controllers on).
std::vector<CgroupHierarchy> host_cgroup_hierarchies();

/// The limits among `limits` that none of the hierarchies can enforce, by the names of their layers
/// (cgroup_memory, cgroup_pids, cgroup_cpu).
std::vector<std::string> missing_controllers(const std::vector<CgroupHierarchy>& hierarchies,
                                             const CgroupLimits& limits);

/// The group exists in every hierarchy that matters, the v2 tree included: killing through its
/// `cgroup.kill` is one write, whatever the processes do. Keeps directory descriptors, so it goes
/// on working after the cgroup mounts were hidden in this mount namespace.
class Cgroup {
 public:
  /// A group in no hierarchy, for hosts that let us make none.
  Cgroup() = default;
  /// Makes the groups and writes the limits. On failure nothing is left behind.
  static Result<Cgroup> create(const std::vector<CgroupHierarchy>& hierarchies,
                               const std::string& name, const CgroupLimits& limits);
  /// The groups of that name, as far as they exist.
  static Result<Cgroup> open(const std::vector<CgroupHierarchy>& hierarchies,
                             const std::string& name);
  Cgroup(Cgroup&&) = default;
  Cgroup& operator=(Cgroup&&) = default;
  /// Kills what is inside; removes the groups if they are empty by then (the sweep takes the rest).
  ~Cgroup();

  /// cgroup.procs files for ProcessSpec::cgroup_procs; valid while this object lives.
  [[nodiscard]] std::vector<std::filesystem::path> procs_files() const;
  /// SIGKILL to every process inside, by `cgroup.kill`, else by signalling the listed processes
  /// until none is left (bounded by `deadline`).
  Result<void> kill(std::chrono::milliseconds deadline);
  /// Sends a signal to every process inside but `except` (a pid of the caller's PID namespace).
  void signal(int number, int except) const;
  /// How often a new process was refused because the limit of tasks was reached.
  [[nodiscard]] std::uint64_t refused_tasks() const;
  /// The memory limit does not hold for swap: the kernel does not account for it, and the host has
  /// some.
  [[nodiscard]] bool swap_unlimited() const noexcept { return swap_unlimited_; }
  /// How often the kernel killed a process here because memory ran out.
  [[nodiscard]] std::uint64_t oom_kills() const;
  /// Whether the group exists anywhere: else it can neither limit, nor kill, nor count.
  [[nodiscard]] bool exists() const noexcept { return !members_.empty(); }
  /// The group's path within its hierarchy, for runtimes that insist on a cgroupsPath.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  struct Member {
    Descriptor parent;
    Descriptor directory;
    bool unified = false;
    bool memory = false;
    bool pids = false;
  };
  Result<void> add(const CgroupHierarchy& hierarchy, const CgroupLimits& limits);
  [[nodiscard]] bool empty() const;

  std::string name_;
  std::vector<Member> members_;
  bool swap_unlimited_ = false;
};

/// Whether /proc/meminfo (given as text) says that the host has swap.
bool has_swap(std::string_view meminfo);

/// SIGKILL to whatever is in the job's groups, and waits until they are empty. No such group: done.
Result<void> kill_cgroup(const std::vector<CgroupHierarchy>& hierarchies, const std::string& name,
                         std::chrono::milliseconds deadline);

/// Removes empty groups of dead jobs; `is_alive(name)` keeps one. A group with processes is killed
/// first.
void sweep_cgroups(const std::vector<CgroupHierarchy>& hierarchies,
                   const std::function<bool(const std::string&)>& is_alive);

}  // namespace flow_runner
