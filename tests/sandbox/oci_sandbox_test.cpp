// The sandbox on a real runtime, with a root file system that holds nothing but busybox.
#include "sandbox/oci_sandbox.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "sandbox/alarm.hpp"
#include "sandbox/mount.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// Tests of this file mount: once, the whole test program gets a mount namespace of its own.
void isolate_once() {
  static const bool done = [] {
    const auto entered = enter_mount_namespace(ProcMount::keep);
    REQUIRE_MESSAGE(entered.has_value(), (entered ? "" : entered.error().message));
    fs::create_directories("/run/flow-runner");
    const auto mounted = mount_tmpfs("/run/flow-runner", 64 << 20, 0711);
    REQUIRE_MESSAGE(mounted.has_value(), (mounted ? "" : mounted.error().message));
    return true;
  }();
  REQUIRE(done);
}

struct Ran {
  Result<SandboxExit> exit;
  std::string output;
};

class SandboxFixture {
 public:
  SandboxFixture() {
    isolate_once();
    const auto image = folder_.path() / "image";
    fs::create_directories(image / "bin");
    fs::create_directories(image / "tmp");
    fs::copy_file("/bin/busybox", image / "bin/busybox");
    for (const char* applet : {"sh",    "cat",     "ls",    "id",   "sleep", "mkdir",  "mv",
                               "touch", "grep",    "mount", "stat", "head",  "dd",     "kill",
                               "chown", "unshare", "nc",    "rm",   "true",  "setsid", "wc"})
      fs::create_symlink("busybox", image / "bin" / applet);
    fs::create_directories(image / "old/inner");
    std::ofstream(image / "old/inner/file") << "content\n";
    static int count = 0;
    scratch_ = "/run/flow-runner/test-" + std::to_string(++count);
    fs::create_directories(scratch_);
    fs::permissions(scratch_, fs::perms(0711));
    fs::create_directories(folder_.path() / "root");
    auto ids = IdRange::acquire(folder_.path() / "ids");
    REQUIRE(ids.has_value());
    ids_.emplace(std::move(*ids));
  }

  ~SandboxFixture() {
    if (sandbox_) complete(sandbox_->destroy());
    sandbox_.reset();
    std::error_code ignored;
    fs::remove_all(scratch_, ignored);
  }

  SandboxSpec spec() {
    SandboxSpec spec;
    spec.id = "sandbox-test-" + std::to_string(::getpid()) + "-" + scratch_.filename().string();
    spec.scratch = scratch_;
    spec.root_overlay = folder_.path() / "root";
    spec.image_layers = {folder_.path() / "image"};
    spec.ids = &*ids_;
    spec.limits = {256 << 20, 100, 0};
    spec.tmp_bytes = 8 << 20;
    return spec;
  }

  Result<void> prepare(SandboxSpec spec) {
    sandbox_.emplace("/run/flow-runner/runtime.json");
    return complete(sandbox_->prepare(std::move(spec), cancellation));
  }

  Ran run(const std::string& script, std::chrono::milliseconds grace = 2s,
          const fs::path& working_directory = "/") {
    const auto file = folder_.path() / "output";
    const Descriptor output(::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    SandboxCommand command;
    command.argv = {"/bin/sh", "-c", script};
    command.environment = {"PATH=/bin"};
    command.working_directory = working_directory;
    command.output_fd = output.get();
    command.grace = grace;
    auto exit = complete(sandbox_->run(command, cancellation));
    auto text = read_file(file, 1 << 20);
    return {std::move(exit), text ? *text : ""};
  }

  template <class T>
  T complete(asio::awaitable<T> work) {
    std::optional<T> outcome;
    asio::co_spawn(loop, std::move(work), [&](const std::exception_ptr& error, T value) {
      if (error) std::rethrow_exception(error);
      outcome.emplace(std::move(value));
    });
    loop.restart();
    loop.run();
    REQUIRE(outcome.has_value());
    return std::move(*outcome);
  }

  asio::io_context loop{1};
  Cancellation cancellation;

 private:
  fixtures::TemporaryDirectory folder_;
  fs::path scratch_;
  std::optional<IdRange> ids_;
  std::optional<OciSandbox> sandbox_;
};

}  // namespace

TEST_CASE("sandbox: a command runs as root of a user namespace of its own, with few rights") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  const auto ran = sandbox.run(
      "id; cat /proc/self/uid_map; grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; exit 7");
  REQUIRE_MESSAGE(ran.exit.has_value(), (ran.exit ? "" : ran.exit.error().message));
  CHECK(ran.exit->status.code == 7);
  CHECK(ran.output.find("uid=0") == 0);
  CHECK(ran.output.find("0 1879048192") != std::string::npos);
  CHECK(ran.output.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(ran.output.find("Seccomp:\t2") != std::string::npos);
}

TEST_CASE("sandbox: there is no network but loopback, and no host in /sys") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  const auto ran = sandbox.run("ls /sys/class/net; cat /etc/resolv.conf");
  CHECK(ran.output == "lo\n# this job resolves no names itself\n");
}

TEST_CASE("sandbox: mounts, namespaces and devices cannot be made") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  const auto ran = sandbox.run(
      "mount -t tmpfs none /tmp && echo mounted; unshare -r true && echo unshared; "
      "echo 1 > /proc/sys/kernel/panic && echo wrote; echo b > /proc/sysrq-trigger && echo "
      "trigger; true");
  REQUIRE(ran.exit.has_value());
  for (const char* open : {"mounted", "unshared", "wrote", "trigger\n"})
    CHECK_MESSAGE(ran.output.find(open) == std::string::npos, ran.output);
}

TEST_CASE(
    "sandbox: folders of the image can be renamed, and what one run wrote the next one sees") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  CHECK(sandbox.run("mv /old /new").exit->status.code == 0);
  const auto ran = sandbox.run("cat /new/inner/file; ls /old");
  CHECK(ran.output.find("content\n") == 0);
  CHECK(ran.exit->status.code != 0);
}

TEST_CASE("sandbox: no process of a run is left when it returns") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  const auto begin = std::chrono::steady_clock::now();
  const auto ran = sandbox.run("setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & echo started");
  REQUIRE(ran.exit.has_value());
  CHECK(ran.output == "started\n");
  CHECK(std::chrono::steady_clock::now() - begin < 20s);
}

TEST_CASE("sandbox: a cancelled command gets TERM, and KILL after its grace") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  Alarm soon(sandbox.loop.get_executor());
  SUBCASE("one that listens ends by itself") {
    soon.set(300ms, [&] { sandbox.cancellation.request(StopCause::canceled); });
    const auto ran =
        sandbox.run("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done", 60s);
    REQUIRE(ran.exit.has_value());
    CHECK(ran.output.find("bye") != std::string::npos);
    CHECK(ran.exit->status.code == 9);
  }
  SUBCASE("one that does not is killed") {
    soon.set(300ms, [&] { sandbox.cancellation.request(StopCause::canceled); });
    const auto ran = sandbox.run("trap '' TERM; while :; do sleep 0.05; done", 200ms);
    REQUIRE(ran.exit.has_value());
    CHECK_FALSE(ran.exit->status.success());
  }
}

TEST_CASE("sandbox: the memory limit kills and is told apart") {
  SandboxFixture sandbox;
  auto spec = sandbox.spec();
  spec.limits.memory_bytes = 32 << 20;
  spec.tmp_bytes = 256 << 20;
  REQUIRE(sandbox.prepare(std::move(spec)).has_value());
  const auto ran = sandbox.run("dd if=/dev/zero of=/tmp/large bs=1048576 count=128");
  REQUIRE_MESSAGE(ran.exit.has_value(), (ran.exit ? "" : ran.exit.error().message));
  CHECK(ran.exit->oom_kills > 0);
  CHECK_FALSE(ran.exit->status.success());
}

TEST_CASE("sandbox: a fork bomb meets the process limit and the next run works") {
  SandboxFixture sandbox;
  auto spec = sandbox.spec();
  spec.limits.pids = 32;
  REQUIRE(sandbox.prepare(std::move(spec)).has_value());
  const auto ran =
      sandbox.run("i=0; while [ $i -lt 100 ]; do sleep 20 & i=$((i+1)); done; echo all");
  REQUIRE(ran.exit.has_value());
  CHECK(ran.output.find("all") == std::string::npos);
  CHECK(sandbox.run("echo next").output == "next\n");
}

TEST_CASE("sandbox: /tmp is bounded") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  const auto ran = sandbox.run("dd if=/dev/zero of=/tmp/large bs=1048576 count=16 2>&1");
  REQUIRE(ran.exit.has_value());
  CHECK(ran.exit->status.code != 0);
}

TEST_CASE("sandbox: a container that cannot start is an error, not an exit code") {
  SandboxFixture sandbox;
  REQUIRE(sandbox.prepare(sandbox.spec()).has_value());
  const auto ran = sandbox.run("true", 2s, "/bin/sh/not-a-folder");
  REQUIRE(ran.exit.has_error());
  CHECK(ran.exit.error().message.find("could not start the container") != std::string::npos);
}

TEST_CASE("sandbox: destroy is safe without prepare and when called twice") {
  SandboxFixture sandbox;
  OciSandbox never("/run/flow-runner/runtime.json");
  CHECK(sandbox.complete(never.destroy()).has_value());
  CHECK(sandbox.complete(never.destroy()).has_value());
}
