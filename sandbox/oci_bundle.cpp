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

json mount(const char* destination, const char* type, const char* source, json options) {
  return {{"destination", destination},
          {"type", type},
          {"source", source},
          {"options", std::move(options)}};
}

json mounts_of(const BundleSpec& spec) {
  const auto size = [](std::uint64_t bytes) { return "size=" + std::to_string(bytes); };
  json mounts = json::array({
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/dev/shm", "tmpfs", "shm",
            {"nosuid", "noexec", "nodev", "mode=1777", size(spec.shm_bytes)}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      mount("/tmp", "tmpfs", "tmp", {"nosuid", "nodev", "mode=1777", size(spec.tmp_bytes)}),
  });
  // sysfs shows the devices of the network namespace that it was mounted in: with the host's
  // network it would be the host's, so there is none.
  if (spec.network == NetworkMode::host)
    mounts.push_back(mount("/sys", "tmpfs", "sys", {"nosuid", "noexec", "nodev", "ro", "size=4k"}));
  else
    mounts.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  for (const auto& bind : spec.mounts)
    mounts.push_back({{"destination", bind.destination},
                      {"type", "bind"},
                      {"source", bind.source},
                      {"options", {"bind", "nosuid", "nodev", bind.read_only ? "ro" : "rw"}}});
  return mounts;
}

json namespaces_of(const BundleSpec& spec) {
  json user = {{"type", "user"}};
  if (!spec.user_namespace.empty()) user["path"] = spec.user_namespace;
  json namespaces = json::array({std::move(user),
                                 {{"type", "pid"}},
                                 {{"type", "mount"}},
                                 {{"type", "cgroup"}},
                                 {{"type", "ipc"}},
                                 {{"type", "uts"}}});
  if (spec.network == NetworkMode::host) return namespaces;
  json network = {{"type", "network"}};
  if (!spec.network_namespace.empty()) network["path"] = spec.network_namespace;
  namespaces.push_back(std::move(network));
  return namespaces;
}

}  // namespace

json oci_config(const BundleSpec& spec) {
  const json map = json::array(
      {{{"containerID", spec.ids.inside}, {"hostID", spec.ids.outside}, {"size", spec.ids.count}}});
  json linux_section = {
      {"namespaces", namespaces_of(spec)},
      {"uidMappings", map},
      {"gidMappings", map},
      {"maskedPaths", masked_paths},
      {"readonlyPaths", read_only_paths},
      {"seccomp", seccomp_profile(spec.nested)},
      {"rootfsPropagation", "private"},
  };
  if (!spec.cgroup_path.empty()) linux_section["cgroupsPath"] = spec.cgroup_path;
  json process = {
      {"terminal", spec.terminal},
      {"user", {{"uid", spec.uid}, {"gid", spec.gid}, {"additionalGids", spec.groups}}},
      {"args", spec.argv},
      {"env", spec.environment},
      {"cwd", spec.working_directory},
      {"noNewPrivileges", true},
      {"capabilities",
       {{"bounding", capabilities}, {"effective", capabilities}, {"permitted", capabilities}}},
  };
  return {{"ociVersion", "1.0.2"},
          {"process", std::move(process)},
          {"root", {{"path", spec.rootfs}, {"readonly", false}}},
          {"hostname", spec.hostname},
          {"mounts", mounts_of(spec)},
          {"linux", std::move(linux_section)}};
}

}  // namespace flow_runner
