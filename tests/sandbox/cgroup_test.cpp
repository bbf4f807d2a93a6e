#include "sandbox/cgroup.hpp"

#include <doctest/doctest.h>
#include <string>
#include <unistd.h>

using namespace flow_runner;

namespace {

const CgroupHierarchy* with(const std::vector<CgroupHierarchy>& all,
                            const std::string& controller) {
  for (const auto& hierarchy : all)
    for (const auto& name : hierarchy.controllers)
      if (name == controller) return &hierarchy;
  return nullptr;
}

}  // namespace

TEST_CASE("cgroup: a pure v2 host has one hierarchy") {
  const auto all = parse_cgroup_hierarchies(
      "25 30 0:23 / /sys rw - sysfs sysfs rw\n"
      "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
      "0::/user.slice/session-1.scope\n");
  REQUIRE(all.size() == 1);
  CHECK(all[0].unified);
  CHECK(all[0].parent == "/sys/fs/cgroup/flow-runner");
}

TEST_CASE("cgroup: on a hybrid host limits go to v1 below the own group, killing to the v2 tree") {
  const auto all = parse_cgroup_hierarchies(
      "1 2 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "1 2 0:2 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "1 2 0:3 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
      "1 2 0:4 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls\n"
      "1 2 0:5 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
      "4:memory:/vm/abc\n3:pids:/\n2:cpu,cpuacct:/x\n0::/\n");
  REQUIRE(all.size() == 4);
  REQUIRE(with(all, "memory") != nullptr);
  CHECK_FALSE(with(all, "memory")->at_top);
  CHECK(with(all, "pids")->at_top);
  CHECK(with(all, "memory")->parent == "/sys/fs/cgroup/memory/vm/abc/flow-runner");
  CHECK(with(all, "pids")->parent == "/sys/fs/cgroup/pids/flow-runner");
  CHECK(with(all, "cpu")->parent == "/sys/fs/cgroup/cpu,cpuacct/x/flow-runner");
  CHECK(all[3].unified);
}

TEST_CASE("cgroup: inside a container the own path is seen below the mount's root") {
  const auto all = parse_cgroup_hierarchies(
      "1 2 0:1 /docker/123 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
      "4:memory:/docker/123/job\n");
  REQUIRE(all.size() == 1);
  CHECK(all[0].parent == "/sys/fs/cgroup/memory/job/flow-runner");
}

TEST_CASE("cgroup: garbage in the kernel's files is skipped") {
  CHECK(parse_cgroup_hierarchies("nonsense\n\n1 2 - \n - cgroup2\n", ":::\n").empty());
}

TEST_CASE("cgroup: a limit without a controller is a refusal that names it") {
  const auto group = Cgroup::create({}, "flow-runner-test", {.memory_bytes = 1 << 20});
  REQUIRE(group.has_error());
  CHECK(group.error().code == ErrorCode::denied);
  CHECK(group.error().message.find("cgroup_memory") != std::string::npos);
}

TEST_CASE("cgroup: the group is made with its limits on this host, kills, and goes away") {
  const std::string name = "test-" + std::to_string(::getpid());
  const auto hierarchies = host_cgroup_hierarchies();
  {
    auto group =
        Cgroup::create(hierarchies, name, {.memory_bytes = 64 << 20, .pids = 10, .cpus = 0.5});
    REQUIRE_MESSAGE(group.has_value(), (group ? "" : group.error().message));
    CHECK(group->procs_files().size() == hierarchies.size());
    CHECK(group->oom_kills() == 0);
    CHECK(group->kill(std::chrono::seconds(1)).has_value());
    const auto again = Cgroup::create(hierarchies, name, {});
    CHECK(again.has_error());
  }
  for (const auto& hierarchy : hierarchies)
    CHECK_FALSE(std::filesystem::exists(hierarchy.parent / name));
}

TEST_CASE("cgroup: swap is what /proc/meminfo has in total") {
  CHECK(has_swap("MemTotal:  1000 kB\nSwapTotal:       1048572 kB\nSwapFree: 0 kB\n"));
  CHECK_FALSE(has_swap("MemTotal:  1000 kB\nSwapTotal:             0 kB\n"));
  CHECK_FALSE(has_swap(""));
}
