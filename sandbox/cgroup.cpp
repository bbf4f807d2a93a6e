#include "sandbox/cgroup.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/rootless.hpp"

namespace flow_runner {
namespace {

constexpr std::array controllers_of_interest = {"memory", "pids", "cpu", "freezer"};
constexpr std::size_t max_control_file = 1 << 20;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream{std::string(text)};
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

Result<void> write_control(int directory, const char* file, const std::string& value) {
  const Descriptor fd(::openat(directory, file, O_WRONLY | O_CLOEXEC));
  if (!fd) return errno_error(std::string("cannot open cgroup file ") + file);
  if (::write(fd.get(), value.data(), value.size()) < 0)
    return errno_error(std::string("cannot write '") + value + "' to cgroup file " + file);
  return {};
}

std::string read_control(int directory, const char* file) {
  const Descriptor fd(::openat(directory, file, O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  auto text = read_all(fd.get(), max_control_file, file);
  return text ? *text : std::string();
}

/// The number behind `key` in a flat-keyed control file; 0 when it is not there.
std::uint64_t keyed_value(std::string_view text, std::string_view key) {
  for (const auto& line : split(text, '\n')) {
    if (!line.starts_with(std::string(key) + " ")) continue;
    std::uint64_t value = 0;
    std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), value);
    return value;
  }
  return 0;
}

/// A v2 group can only limit what its ancestors delegate; enabling twice is harmless.
void delegate_controllers(int directory) {
  for (const char* controller : {"+memory", "+pids", "+cpu"})
    (void)write_control(directory, "cgroup.subtree_control", controller);
}

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

/// The file is absent on kernels that do not account for swap: false then.
Result<bool> limit_swap(int directory, const char* file, const std::string& value) {
  if (::faccessat(directory, file, F_OK, 0) != 0 && errno == ENOENT) return false;
  FR_CHECK(write_control(directory, file, value));
  return true;
}

/// Whether swap is limited too.
Result<bool> write_unified_limits(int directory, const CgroupLimits& limits) {
  bool swap_limited = true;
  if (limits.memory_bytes > 0) {
    FR_CHECK(write_control(directory, "memory.max", std::to_string(limits.memory_bytes)));
    FR_TRY(swap_limited, limit_swap(directory, "memory.swap.max", "0"));
    FR_CHECK(write_control(directory, "memory.oom.group", "1"));
  }
  if (limits.pids > 0) FR_CHECK(write_control(directory, "pids.max", std::to_string(limits.pids)));
  if (limits.cpus > 0)
    FR_CHECK(write_control(
        directory, "cpu.max",
        std::to_string(static_cast<std::uint64_t>(limits.cpus * 100000)) + " 100000"));
  return swap_limited;
}

Result<bool> write_v1_limits(int directory, const CgroupHierarchy& hierarchy,
                             const CgroupLimits& limits) {
  bool swap_limited = true;
  if (limits.memory_bytes > 0 && contains(hierarchy.controllers, "memory")) {
    const auto bytes = std::to_string(limits.memory_bytes);
    FR_CHECK(write_control(directory, "memory.limit_in_bytes", bytes));
    FR_TRY(swap_limited, limit_swap(directory, "memory.memsw.limit_in_bytes", bytes));
  }
  if (limits.pids > 0 && contains(hierarchy.controllers, "pids"))
    FR_CHECK(write_control(directory, "pids.max", std::to_string(limits.pids)));
  if (limits.cpus > 0 && contains(hierarchy.controllers, "cpu"))
    FR_CHECK(write_control(directory, "cpu.cfs_quota_us",
                           std::to_string(static_cast<std::uint64_t>(limits.cpus * 100000))));
  return swap_limited;
}

std::string without_line_end(std::string text) { return text.substr(0, text.find('\n')); }

bool may_write(const std::filesystem::path& folder) {
  return ::access(folder.c_str(), W_OK | X_OK) == 0;
}

/// The v2 group of this process, below the hierarchy's root.
std::filesystem::path own_unified_group(const std::filesystem::path& root,
                                        std::string_view own_cgroups) {
  for (const auto& line : split(own_cgroups, '\n'))
    if (line.starts_with("0::")) return (root.string() + line.substr(3));
  return root;
}

/// Keeps what the user may use; see host_cgroup_hierarchies.
void keep_delegated(std::vector<CgroupHierarchy>& hierarchies, std::string_view own_cgroups) {
  for (auto& hierarchy : hierarchies) {
    if (!hierarchy.unified) continue;
    const auto root = hierarchy.parent.parent_path();
    auto group = own_unified_group(root, own_cgroups).lexically_normal();
    if (group != root) group = group.parent_path();
    hierarchy.parent = group / "flow-runner";
    hierarchy.at_top = group == root;
  }
  std::erase_if(hierarchies, [](const CgroupHierarchy& hierarchy) {
    return !may_write(hierarchy.parent.parent_path());
  });
}

}  // namespace

bool has_swap(std::string_view meminfo) {
  constexpr std::string_view key = "SwapTotal:";
  for (const auto& line : split(meminfo, '\n'))
    if (line.starts_with(key))
      return line.find_first_of("123456789", key.size()) != std::string::npos;
  return false;
}

std::vector<CgroupHierarchy> parse_cgroup_hierarchies(std::string_view mountinfo,
                                                      std::string_view own_cgroups) {
  std::vector<CgroupHierarchy> hierarchies;
  for (const auto& line : split(mountinfo, '\n')) {
    // "36 35 98:0 /root /mount/point rw,… - cgroup source superoptions" (proc(5))
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto before = split(std::string_view(line).substr(0, dash), ' ');
    const auto after = split(std::string_view(line).substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    CgroupHierarchy hierarchy;
    const std::filesystem::path mount_point = before[4];
    if (after[0] == "cgroup2") {
      hierarchy.unified = true;
      hierarchy.parent = mount_point / "flow-runner";
    } else if (after[0] == "cgroup") {
      for (const auto& option : split(after[2], ','))
        if (std::find(controllers_of_interest.begin(), controllers_of_interest.end(), option) !=
            controllers_of_interest.end())
          hierarchy.controllers.push_back(option);
      if (hierarchy.controllers.empty()) continue;
      for (const auto& own : split(own_cgroups, '\n')) {
        const auto fields = split(own, ':');
        if (fields.size() == 3 && contains(split(fields[1], ','), hierarchy.controllers.front())) {
          // A container's view: the mount shows the subtree below `root`, the own path is from the
          // top.
          std::string path = fields[2];
          if (before[3] != "/" && path.starts_with(before[3])) path.erase(0, before[3].size());
          hierarchy.parent =
              std::filesystem::path(mount_point.string() + "/" + path).lexically_normal() /
              "flow-runner";
        }
      }
      if (hierarchy.parent.empty()) hierarchy.parent = mount_point / "flow-runner";
    } else {
      continue;
    }
    hierarchy.at_top = hierarchy.parent == mount_point / "flow-runner";
    const bool seen = std::any_of(hierarchies.begin(), hierarchies.end(), [&](const auto& other) {
      return other.unified == hierarchy.unified && other.controllers == hierarchy.controllers;
    });
    if (!seen) hierarchies.push_back(std::move(hierarchy));
  }
  return hierarchies;
}

std::vector<CgroupHierarchy> host_cgroup_hierarchies() {
  const auto mountinfo = read_file("/proc/self/mountinfo", 16 << 20);
  const auto own = read_file("/proc/self/cgroup", 1 << 20);
  if (!mountinfo || !own) return {};
  auto hierarchies = parse_cgroup_hierarchies(*mountinfo, *own);
  if (is_rootless()) keep_delegated(hierarchies, *own);
  for (auto& hierarchy : hierarchies) {
    if (!hierarchy.unified) continue;
    const auto root = hierarchy.parent.parent_path();
    const auto text = read_file(root / "cgroup.controllers", 4096);
    if (!text) continue;
    for (auto& name : split(without_line_end(*text), ' ')) hierarchy.controllers.push_back(name);
  }
  return hierarchies;
}

std::vector<std::string> missing_controllers(const std::vector<CgroupHierarchy>& hierarchies,
                                             const CgroupLimits& limits) {
  std::vector<std::string> missing;
  const auto need = [&](bool wanted, std::string_view controller, const char* layer) {
    const bool there = std::any_of(
        hierarchies.begin(), hierarchies.end(),
        [&](const auto& hierarchy) { return contains(hierarchy.controllers, controller); });
    if (wanted && !there) missing.emplace_back(layer);
  };
  need(limits.memory_bytes > 0, "memory", "cgroup_memory");
  need(limits.pids > 0, "pids", "cgroup_pids");
  need(limits.cpus > 0, "cpu", "cgroup_cpu");
  return missing;
}

Result<void> Cgroup::add(const CgroupHierarchy& hierarchy, const CgroupLimits& limits) {
  if (::mkdir(hierarchy.parent.c_str(), 0755) != 0 && errno != EEXIST)
    return errno_error("cannot make cgroup " + hierarchy.parent.string());
  Member member;
  member.unified = hierarchy.unified;
  member.memory = contains(hierarchy.controllers, "memory");
  member.pids = contains(hierarchy.controllers, "pids");
  FR_TRY(member.parent, open_file(hierarchy.parent, O_RDONLY | O_DIRECTORY));
  if (hierarchy.unified) {
    if (const auto root = open_file(hierarchy.parent.parent_path(), O_RDONLY | O_DIRECTORY))
      delegate_controllers(root->get());
    delegate_controllers(member.parent.get());
  }
  if (::mkdirat(member.parent.get(), name_.c_str(), 0755) != 0)
    return errno_error("cannot make cgroup " + (hierarchy.parent / name_).string());
  member.directory =
      Descriptor(::openat(member.parent.get(), name_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!member.directory)
    return errno_error("cannot open cgroup " + (hierarchy.parent / name_).string());
  const int directory = member.directory.get();
  members_.push_back(std::move(member));
  CgroupLimits own = limits;
  if (!contains(hierarchy.controllers, "memory")) own.memory_bytes = 0;
  if (!contains(hierarchy.controllers, "pids")) own.pids = 0;
  if (!contains(hierarchy.controllers, "cpu")) own.cpus = 0;
  FR_TRY(const bool swap_limited, hierarchy.unified ? write_unified_limits(directory, own)
                                                    : write_v1_limits(directory, hierarchy, own));
  if (swap_limited) return {};
  FR_TRY(const auto meminfo, read_file("/proc/meminfo", 1 << 16));
  swap_unlimited_ = has_swap(meminfo);
  return {};
}

Result<Cgroup> Cgroup::create(const std::vector<CgroupHierarchy>& hierarchies,
                              const std::string& name, const CgroupLimits& limits) {
  if (const auto missing = missing_controllers(hierarchies, limits); !missing.empty())
    return Error{ErrorCode::denied, "no cgroup here can enforce " + missing.front()};
  Cgroup group;
  group.name_ = name;
  for (const auto& hierarchy : hierarchies) FR_CHECK(group.add(hierarchy, limits));
  return group;
}

Result<Cgroup> Cgroup::open(const std::vector<CgroupHierarchy>& hierarchies,
                            const std::string& name) {
  Cgroup group;
  group.name_ = name;
  for (const auto& hierarchy : hierarchies) {
    Member member;
    member.unified = hierarchy.unified;
    auto parent = open_file(hierarchy.parent, O_RDONLY | O_DIRECTORY);
    auto directory = open_file(hierarchy.parent / name, O_RDONLY | O_DIRECTORY);
    if (!parent || !directory) continue;
    member.parent = std::move(*parent);
    member.directory = std::move(*directory);
    group.members_.push_back(std::move(member));
  }
  return group;
}

Cgroup::~Cgroup() {
  if (members_.empty()) return;
  (void)kill(std::chrono::milliseconds(200));
  for (const auto& member : members_) ::unlinkat(member.parent.get(), name_.c_str(), AT_REMOVEDIR);
}

std::vector<std::filesystem::path> Cgroup::procs_files() const {
  std::vector<std::filesystem::path> files;
  for (const auto& member : members_)
    files.push_back("/proc/self/fd/" + std::to_string(member.directory.get()) + "/cgroup.procs");
  return files;
}

bool Cgroup::empty() const {
  return std::all_of(members_.begin(), members_.end(), [](const Member& member) {
    return read_control(member.directory.get(), "cgroup.procs").empty();
  });
}

Result<void> Cgroup::kill(std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (const auto& member : members_)
    if (member.unified) (void)write_control(member.directory.get(), "cgroup.kill", "1");
  while (!empty()) {
    // Before Linux 5.14 there is no cgroup.kill, and without a v2 tree nothing else reaches them
    // all: signal whoever is listed until nobody is. pids.max bounds the race against forks.
    for (const auto& member : members_)
      for (const auto& line : split(read_control(member.directory.get(), "cgroup.procs"), '\n'))
        if (const int pid = std::atoi(line.c_str()); pid > 0) ::kill(pid, SIGKILL);
    if (std::chrono::steady_clock::now() >= end)
      return Error{ErrorCode::timed_out, "processes of cgroup " + name_ + " did not die"};
    ::poll(nullptr, 0, 2);
  }
  return {};
}

void Cgroup::signal(int number, int except) const {
  if (members_.empty()) return;
  for (const auto& line :
       split(read_control(members_.front().directory.get(), "cgroup.procs"), '\n'))
    if (const int pid = std::atoi(line.c_str()); pid > 0 && pid != except) ::kill(pid, number);
}

std::uint64_t Cgroup::refused_tasks() const {
  for (const auto& member : members_)
    if (member.pids) return keyed_value(read_control(member.directory.get(), "pids.events"), "max");
  return 0;
}

std::uint64_t Cgroup::oom_kills() const {
  for (const auto& member : members_) {
    if (!member.memory) continue;
    const char* file = member.unified ? "memory.events" : "memory.oom_control";
    return keyed_value(read_control(member.directory.get(), file), "oom_kill");
  }
  return 0;
}

Result<void> kill_cgroup(const std::vector<CgroupHierarchy>& hierarchies, const std::string& name,
                         std::chrono::milliseconds deadline) {
  FR_TRY(Cgroup group, Cgroup::open(hierarchies, name));
  return group.kill(deadline);
}

void sweep_cgroups(const std::vector<CgroupHierarchy>& hierarchies,
                   const std::function<bool(const std::string&)>& is_alive) {
  for (const auto& hierarchy : hierarchies) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(hierarchy.parent, error)) {
      std::error_code ignored;
      const std::string name = entry.path().filename();
      if (!entry.is_directory(ignored) || is_alive(name)) continue;
      if (const auto directory = open_file(entry.path(), O_RDONLY | O_DIRECTORY))
        (void)write_control(directory->get(), "cgroup.kill", "1");
      ::rmdir(entry.path().c_str());
    }
  }
}

}  // namespace flow_runner
