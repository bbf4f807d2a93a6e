#include "sandbox/host_check.hpp"

#include <algorithm>
#include <charconv>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config/units.hpp"
#include "sandbox/cgroup.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/host_trial.hpp"
#include "sandbox/oci_runtime.hpp"
#include "sandbox/process.hpp"
#include "sandbox/rootless.hpp"
#include "sandbox/scratch.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t little_space = 10ULL << 30;  // what one job may write by default

HostFact good(std::string name, std::string detail) {
  return {std::move(name), HostState::good, std::move(detail), {}};
}
HostFact limited(std::string name, std::string detail, std::string cure) {
  return {std::move(name), HostState::limited, std::move(detail), std::move(cure)};
}
HostFact missing(std::string name, std::string detail, std::string cure) {
  return {std::move(name), HostState::missing, std::move(detail), std::move(cure)};
}

HostFact kernel() {
  utsname system{};
  ::uname(&system);
  if (is_kernel_at_least(system.release, 5, 19)) return good("kernel", system.release);
  return missing("kernel", std::string(system.release) + " is older than 5.19",
                 "install a newer kernel");
}

HostFact rights(const HostCheckSpec& spec) {
  if (spec.no_user_namespace)
    return missing("rights", spec.no_user_namespace->message,
                   "see above, or run flow-runner as root");
  if (!is_rootless()) return good("rights", "root of the host");
  return limited("rights",
                 "rootless, for user " + std::to_string(host_uid()) +
                     ": the workspace is a copy of the snapshot, which takes longer with many files",
                 "as root, or as the service, jobs get an overlay instead");
}

HostFact seccomp() {
  const auto actions = read_file("/proc/sys/kernel/seccomp/actions_avail", 4096);
  if (actions && actions->find("errno") != std::string::npos)
    return good("seccomp", "filters are available");
  return missing("seccomp", "the kernel has no seccomp filters",
                 "use a kernel with CONFIG_SECCOMP_FILTER");
}

HostFact runtime() {
  std::string found;
  for (const char* name : {"crun", "runc"})
    if (const auto program = find_host_program(name); !program.empty())
      found += (found.empty() ? "" : ", ") + program.string();
  if (!found.empty()) return good("runtime", found);
  return missing("runtime", "neither crun nor runc is installed", "install crun");
}

HostFact init() {
  const auto program = find_init();
  if (program) return good("init", program->string());
  return missing("init", "catatonit is not installed", "install catatonit");
}

HostFact tool(const char* name, const char* use) {
  const auto program = find_host_program(name);
  if (!program.empty()) return good(name, program.string());
  return missing(name, std::string(name) + " is not installed; " + use, std::string("install ") + name);
}

HostFact own_programs(const fs::path& folder) {
  std::string lacking;
  for (const char* name : {"flow-runner-git", "flow-runner-proxy", "flow-runner-probe"})
    if (::access((folder / name).c_str(), X_OK) != 0)
      lacking += (lacking.empty() ? "" : ", ") + std::string(name);
  if (lacking.empty()) return good("programs", folder.string());
  return missing("programs", lacking + " is not beside flow-runner in " + folder.string(),
                 "install flow-runner's programs into one folder");
}

HostFact cgroups() {
  const auto hierarchies = host_cgroup_hierarchies();
  const CgroupLimits all{.memory_bytes = 1, .pids = 1, .cpus = 1};
  const auto lacking = missing_controllers(hierarchies, all);
  std::string kinds;
  for (const auto& hierarchy : hierarchies) {
    const char* kind = hierarchy.unified ? "v2" : "v1";
    if (kinds.find(kind) == std::string::npos) kinds += (kinds.empty() ? "" : " and ") + std::string(kind);
  }
  if (lacking.empty()) return good("cgroups", kinds + ": memory, pids and cpu can be limited");
  std::string names;
  for (const auto& name : lacking) names += (names.empty() ? "" : ", ") + name;
  const std::string cure =
      is_rootless() ? "start flow-runner by `systemd-run --user --scope --property=Delegate=yes "
                      "flow-runner …`, or go on without by `--sandbox-require none`"
                    : "enable the controllers in the kernel";
  return missing("cgroups", "no cgroup enforces " + names, cure);
}

HostFact mounts(const HostCheckSpec& spec) {
  std::string folder = (spec.state / "mounts-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr)
    return missing("mounts", errno_error("cannot make a folder in " + spec.state.string()).message,
                   "give flow-runner a state folder that it can write (--state-dir)");
  const auto tried = try_job_mounts(folder);
  ::rmdir(folder.c_str());
  const std::string kind = is_rootless() ? "overlay without id maps" : "overlay with id maps";
  if (tried) return good("mounts", kind + " on " + spec.state.string());
  return missing("mounts", tried.error().message,
                 "put the state folder on ext4, xfs or btrfs (--state-dir)");
}

HostFact disk(const fs::path& state) {
  struct statvfs info {};
  if (::statvfs(state.c_str(), &info) != 0)
    return missing("disk", errno_error("cannot look at " + state.string()).message,
                   "give flow-runner a state folder that it can read (--state-dir)");
  const std::uint64_t free = std::uint64_t(info.f_bavail) * info.f_frsize;
  const std::string detail = format_bytes_rounded(free) + " free at " + state.string();
  if (free >= little_space) return good("disk", detail);
  return limited("disk", detail, "one job may write " + format_bytes(little_space) +
                                     " by default: free some space, or use --disk");
}

HostFact swap() {
  const auto memory = read_file("/proc/meminfo", 1 << 16);
  if (!memory || !has_swap(*memory)) return good("swap", "none");
  return good("swap", "there is some; where the kernel cannot limit it, each job's log says so");
}

HostFact upstream_proxy() {
  for (const auto& variable : tool_environment())
    for (const char* name : {"HTTPS_PROXY=", "https_proxy=", "HTTP_PROXY=", "http_proxy="})
      if (variable.starts_with(name) && variable.size() > std::string_view(name).size())
        return good("upstream_proxy", "jobs' connections go through the host's own proxy");
  return good("upstream_proxy", "none: allowed hosts are connected to directly");
}

}  // namespace

std::string_view to_string(HostState state) {
  switch (state) {
    case HostState::good:
      return "good";
    case HostState::limited:
      return "limited";
    case HostState::missing:
      break;
  }
  return "missing";
}

bool is_kernel_at_least(std::string_view release, unsigned major, unsigned minor) {
  unsigned numbers[2] = {0, 0};
  const char* at = release.data();
  const char* const end = at + release.size();
  for (unsigned& number : numbers) {
    const auto read = std::from_chars(at, end, number);
    if (read.ec != std::errc()) return false;
    at = std::min(read.ptr + 1, end);
  }
  return std::pair(numbers[0], numbers[1]) >= std::pair(major, minor);
}

std::vector<HostFact> check_host(const HostCheckSpec& spec) {
  std::vector<HostFact> facts = {kernel(), rights(spec), seccomp(), runtime(), init()};
  facts.push_back(tool("podman", "it pulls and keeps the images of jobs"));
  facts.push_back(tool("git", "it fetches and pushes"));
  facts.push_back(own_programs(spec.programs));
  facts.push_back(cgroups());
  if (!spec.no_user_namespace) facts.push_back(mounts(spec));
  facts.push_back(disk(spec.state));
  facts.push_back(swap());
  facts.push_back(upstream_proxy());
  return facts;
}

}  // namespace flow_runner
