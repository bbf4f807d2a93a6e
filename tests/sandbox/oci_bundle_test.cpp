#include "sandbox/oci_bundle.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <string>

#include "sandbox/seccomp.hpp"

using namespace flow_runner;
using nlohmann::json;

namespace {

BundleSpec some_spec() {
  BundleSpec spec;
  spec.rootfs = "/scratch/root";
  spec.argv = {"/run/init", "--", "/bin/sh", "script"};
  spec.environment = {"A=1"};
  spec.working_directory = "/builds/group/project";
  spec.uid = 1000;
  spec.gid = 1000;
  spec.ids = {0, 1879048192, 65536};
  spec.mounts = {{"/host/workspace", "/builds/group/project", false},
                 {"/host/files", "/run/files", true}};
  return spec;
}

json mount_at(const json& config, const std::string& destination) {
  for (const auto& mount : config["mounts"])
    if (mount["destination"] == destination) return mount;
  return nullptr;
}

bool has_option(const json& mount, const std::string& option) {
  const auto& options = mount["options"];
  return std::find(options.begin(), options.end(), option) != options.end();
}

/// The action of the profile's rules for a call without conditions on arguments.
std::string action_for(const json& profile, const std::string& call) {
  for (const auto& rule : profile["syscalls"])
    for (const auto& name : rule["names"])
      if (name == call && !rule.contains("args")) return rule["action"];
  return profile["defaultAction"];
}

}  // namespace

TEST_CASE("bundle: the job's user, range and command are what was asked for") {
  const json config = oci_config(some_spec());
  CHECK(config["process"]["args"] == json::array({"/run/init", "--", "/bin/sh", "script"}));
  CHECK(config["process"]["user"]["uid"] == 1000);
  CHECK(config["process"]["env"] == json::array({"A=1"}));
  CHECK(config["process"]["cwd"] == "/builds/group/project");
  const json map = {{"containerID", 0}, {"hostID", 1879048192}, {"size", 65536}};
  CHECK(config["linux"]["uidMappings"] == json::array({map}));
  CHECK(config["linux"]["gidMappings"] == json::array({map}));
}

TEST_CASE("bundle: rights are the least that tools need") {
  const json config = oci_config(some_spec());
  CHECK(config["process"]["noNewPrivileges"] == true);
  const auto& capabilities = config["process"]["capabilities"]["bounding"];
  CHECK(capabilities.size() == 11);
  for (const char* dangerous :
       {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE", "CAP_MKNOD"})
    CHECK(std::find(capabilities.begin(), capabilities.end(), dangerous) == capabilities.end());
  CHECK_FALSE(config["process"]["capabilities"].contains("ambient"));
}

TEST_CASE(
    "bundle: every namespace is the job's own, the network but when the host's is asked for") {
  const auto kinds = [](const json& config) {
    std::vector<std::string> names;
    for (const auto& entry : config["linux"]["namespaces"]) names.push_back(entry["type"]);
    std::sort(names.begin(), names.end());
    return names;
  };
  auto spec = some_spec();
  CHECK(kinds(oci_config(spec)) ==
        std::vector<std::string>{"cgroup", "ipc", "mount", "network", "pid", "user", "uts"});
  CHECK(mount_at(oci_config(spec), "/sys")["type"] == "sysfs");
  spec.network = NetworkMode::host;
  CHECK(kinds(oci_config(spec)) ==
        std::vector<std::string>{"cgroup", "ipc", "mount", "pid", "user", "uts"});
  CHECK(mount_at(oci_config(spec), "/sys")["type"] == "tmpfs");
}

TEST_CASE("bundle: what the host lends is read-only unless it is the workspace") {
  const json config = oci_config(some_spec());
  CHECK(has_option(mount_at(config, "/builds/group/project"), "rw"));
  CHECK(has_option(mount_at(config, "/run/files"), "ro"));
  for (const auto& mount : config["mounts"])
    if (mount["type"] == "bind") {
      CHECK(has_option(mount, "nosuid"));
      CHECK(has_option(mount, "nodev"));
    }
}

TEST_CASE("bundle: a layer is only gone when it was taken away, and then nothing else is") {
  const json whole = oci_config(some_spec());
  const auto without = [](SandboxLayer layer) {
    auto spec = some_spec();
    spec.taken_away = {layer};
    return oci_config(spec);
  };
  CHECK(without(SandboxLayer::disk) == whole);
  json expected = whole;
  expected["linux"].erase("seccomp");
  CHECK(without(SandboxLayer::seccomp) == expected);
  expected = whole;
  expected["process"]["noNewPrivileges"] = false;
  CHECK(without(SandboxLayer::no_new_privs) == expected);
  expected = whole;
  expected["linux"].erase("maskedPaths");
  CHECK(without(SandboxLayer::masked_paths) == expected);
  CHECK(without(SandboxLayer::capabilities)["process"]["capabilities"]["bounding"].size() > 11);
  CHECK_FALSE(without(SandboxLayer::user_namespace)["linux"].contains("uidMappings"));
}

TEST_CASE("bundle: /tmp and /dev/shm are bounded") {
  auto spec = some_spec();
  spec.tmp_bytes = 4096;
  spec.shm_bytes = 8192;
  const json config = oci_config(spec);
  CHECK(has_option(mount_at(config, "/tmp"), "size=4096"));
  CHECK(has_option(mount_at(config, "/dev/shm"), "size=8192"));
}

TEST_CASE(
    "seccomp: ordinary calls are allowed, dangerous ones refused, unknown ones do not exist") {
  const json profile = seccomp_profile(NestedNamespaces::deny);
  CHECK(profile["defaultErrnoRet"] == 38);
  CHECK(action_for(profile, "openat") == "SCMP_ACT_ALLOW");
  CHECK(action_for(profile, "execve") == "SCMP_ACT_ALLOW");
  for (const char* call :
       {"mount", "unshare", "setns", "ptrace", "keyctl", "bpf", "userfaultfd", "io_uring_setup",
        "perf_event_open", "kexec_load", "clone3", "clone", "socket"})
    CHECK_MESSAGE(action_for(profile, call) == "SCMP_ACT_ERRNO", call);
  CHECK(profile["architectures"].size() == 1);
}

TEST_CASE("seccomp: clone is allowed without namespace flags, and only some socket families are") {
  const json profile = seccomp_profile(NestedNamespaces::deny);
  int clones = 0;
  std::vector<int> families;
  for (const auto& rule : profile["syscalls"]) {
    REQUIRE(rule["names"].is_array());
    if (rule["names"] == json::array({"clone"})) {
      ++clones;
      CHECK(rule["args"][0]["op"] == "SCMP_CMP_MASKED_EQ");
      CHECK(rule["args"][0]["value"] == 0x7E020000);
    }
    if (rule["names"] == json::array({"socket"})) families.push_back(rule["args"][0]["value"]);
  }
  CHECK(clones == 1);
  CHECK(families == std::vector{1, 2, 10, 16});
}

TEST_CASE("seccomp: nested namespaces have to be asked for") {
  const json profile = seccomp_profile(NestedNamespaces::allow);
  CHECK(action_for(profile, "unshare") == "SCMP_ACT_ALLOW");
  CHECK(action_for(profile, "clone") == "SCMP_ACT_ALLOW");
  CHECK(action_for(profile, "bpf") == "SCMP_ACT_ERRNO");
}

TEST_CASE("oci bundle: a command has a terminal only where it is asked for") {
  CHECK(oci_config(some_spec())["process"]["terminal"] == false);
  BundleSpec spec = some_spec();
  spec.terminal = true;
  CHECK(oci_config(spec)["process"]["terminal"] == true);
}
