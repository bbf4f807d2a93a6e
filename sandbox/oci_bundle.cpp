#include "sandbox/oci_bundle.hpp"

#include <array>

namespace flow_runner {
namespace {

using nlohmann::json;

// What podman grants by default; all of them count only inside the job's user namespace.
constexpr std::array capabilities = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",     "CAP_FSETID",
    "CAP_KILL",    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",    "CAP_SETGID",
    "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT",
};

constexpr std::array masked_paths = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/kallsyms",
    "/proc/kmsg",
    "/proc/config.gz",
    "/sys/firmware",
    "/sys/fs/selinux",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
};

constexpr std::array read_only_paths = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

// What the layer `capabilities` holds back from somebody who wants to get out; a host may lack
// others.
constexpr std::array held_back = {
    "CAP_DAC_READ_SEARCH", "CAP_MKNOD",     "CAP_NET_ADMIN",
    "CAP_NET_RAW",         "CAP_SYS_ADMIN", "CAP_SYS_PTRACE",
};

json mount(const char* destination, const char* type, const char* source, json options) {
  return {{"destination", destination},
          {"type", type},
          {"source", source},
          {"options", std::move(options)}};
}

json device_mounts(const BundleSpec& spec) {
  if (spec.taken_away.has(SandboxLayer::devices))
    return json::array({mount("/dev", "bind", "/dev", {"rbind", "rw"})});
  json mounts = json::array({
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/dev/shm", "tmpfs", "shm",
            {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(spec.shm_bytes)}),
  });
  // Only the owner of an IPC namespace can mount its message queues.
  if (!spec.taken_away.has(SandboxLayer::ipc_namespace))
    mounts.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  return mounts;
}

json mounts_of(const BundleSpec& spec) {
  json mounts = json::array();
  // Only the owner of a PID namespace can mount its /proc.
  if (spec.taken_away.has(SandboxLayer::pid_namespace))
    mounts.push_back(mount("/proc", "bind", "/proc", {"rbind", "nosuid", "noexec", "nodev"}));
  else
    mounts.push_back(mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  for (auto& entry : device_mounts(spec)) mounts.push_back(std::move(entry));
  mounts.push_back(
      mount("/tmp", "tmpfs", "tmp",
            {"nosuid", "nodev", "mode=1777", "size=" + std::to_string(spec.tmp_bytes)}));
  // sysfs shows the devices of the network namespace that it was mounted in: with the host's
  // network it would be the host's, so there is none.
  const char* writable = spec.taken_away.has(SandboxLayer::read_only_paths) ? "rw" : "ro";
  if (spec.network == NetworkMode::host)
    mounts.push_back(mount("/sys", "tmpfs", "sys", {"nosuid", "noexec", "nodev", "ro", "size=4k"}));
  else
    mounts.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", writable}));
  for (const auto& bind : spec.mounts)
    mounts.push_back({{"destination", bind.destination},
                      {"type", "bind"},
                      {"source", bind.source},
                      {"options", {"bind", "nosuid", "nodev", bind.read_only ? "ro" : "rw"}}});
  return mounts;
}

json namespaces_of(const BundleSpec& spec) {
  json namespaces = json::array();
  const auto add = [&](SandboxLayer layer, const char* type, const std::filesystem::path& joined) {
    if (spec.taken_away.has(layer)) return;
    json entry = {{"type", type}};
    if (!joined.empty()) entry["path"] = joined;
    namespaces.push_back(std::move(entry));
  };
  add(SandboxLayer::user_namespace, "user", spec.user_namespace);
  add(SandboxLayer::pid_namespace, "pid", {});
  namespaces.push_back({{"type", "mount"}});  // no runtime works without one
  add(SandboxLayer::cgroup_namespace, "cgroup", {});
  add(SandboxLayer::ipc_namespace, "ipc", {});
  add(SandboxLayer::uts_namespace, "uts", {});
  if (spec.network != NetworkMode::host)
    add(SandboxLayer::network, "network", spec.network_namespace);
  return namespaces;
}

json process_of(const BundleSpec& spec) {
  json process = {
      {"terminal", spec.terminal},
      {"user", {{"uid", spec.uid}, {"gid", spec.gid}, {"additionalGids", spec.groups}}},
      {"args", spec.argv},
      {"env", spec.environment},
      {"cwd", spec.working_directory},
      {"noNewPrivileges", !spec.taken_away.has(SandboxLayer::no_new_privs)},
  };
  json granted(capabilities);
  if (spec.taken_away.has(SandboxLayer::capabilities))
    for (const char* name : held_back) granted.push_back(name);
  for (const char* set : {"bounding", "effective", "permitted"})
    process["capabilities"][set] = granted;
  return process;
}

}  // namespace

json oci_config(const BundleSpec& spec) {
  const json map = json::array(
      {{{"containerID", spec.ids.inside}, {"hostID", spec.ids.outside}, {"size", spec.ids.count}}});
  json linux_section = {{"namespaces", namespaces_of(spec)}, {"rootfsPropagation", "private"}};
  if (!spec.taken_away.has(SandboxLayer::user_namespace))
    for (const char* kind : {"uidMappings", "gidMappings"}) linux_section[kind] = map;
  if (!spec.taken_away.has(SandboxLayer::masked_paths)) linux_section["maskedPaths"] = masked_paths;
  if (!spec.taken_away.has(SandboxLayer::read_only_paths))
    linux_section["readonlyPaths"] = read_only_paths;
  if (!spec.taken_away.has(SandboxLayer::seccomp))
    linux_section["seccomp"] = seccomp_profile(spec.nested);
  if (!spec.cgroup_path.empty()) linux_section["cgroupsPath"] = spec.cgroup_path;
  json config = {{"ociVersion", "1.0.2"},
                 {"process", process_of(spec)},
                 {"root", {{"path", spec.rootfs}, {"readonly", false}}},
                 {"mounts", mounts_of(spec)},
                 {"linux", std::move(linux_section)}};
  if (!spec.taken_away.has(SandboxLayer::uts_namespace)) config["hostname"] = spec.hostname;
  return config;
}

}  // namespace flow_runner
