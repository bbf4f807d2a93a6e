// The sandbox on a real runtime, with a root file system that holds nothing but busybox.
#include "sandbox/oci_sandbox.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fstream>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "sandbox/alarm.hpp"
#include "sandbox/mount.hpp"
#include "sandbox/rootless.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A folder that a job's user can reach; as root flow-runner's own, else one that every host has.
const fs::path base = is_rootless() ? "/mnt" : "/run/flow-runner";

/// Tests of this file mount: once, the whole test program gets a mount namespace of its own.
void isolate_once() {
  static const bool done = [] {
    const auto entered = enter_mount_namespace(ProcMount::keep);
    REQUIRE_MESSAGE(entered.has_value(), (entered ? "" : entered.error().message));
    fs::create_directories(base);
    const auto mounted = mount_tmpfs(base, 64 << 20, 0711);
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
    // A sandbox hides the host's cgroups from the mount namespace that it is made in: each gets
    // one.
    outer_mounts_ = Descriptor(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
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
    scratch_ = base / ("test-" + std::to_string(++count));
    fs::create_directories(scratch_);
    fs::permissions(scratch_, fs::perms(0711));
    fs::create_directories(folder_.path() / "root");
    auto ids = is_rootless() ? Result<IdRange>(IdRange::of_user_namespace())
                             : IdRange::acquire(folder_.path() / "ids");
    REQUIRE(ids.has_value());
    ids_.emplace(std::move(*ids));
    // The image's files belong to the job's root: by id map, or because the store owns them so.
    if (is_rootless())
      for (const auto& entry : fs::recursive_directory_iterator(image))
        REQUIRE(::lchown(entry.path().c_str(), ids_->base(), ids_->base()) == 0);
  }

  ~SandboxFixture() {
    if (sandbox_) complete(sandbox_->destroy());
    sandbox_.reset();
    ::setns(outer_mounts_.get(), CLONE_NEWNS);
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
    sandbox_.emplace(base / "runtime.json");
    return complete(sandbox_->prepare(std::move(spec), cancellation));
  }

  void must_prepare(SandboxSpec spec) {
    const auto prepared = prepare(std::move(spec));
    REQUIRE_MESSAGE(prepared.has_value(), (prepared ? "" : prepared.error().message));
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

  [[nodiscard]] int proxy_listener() const { return sandbox_->proxy_listener(); }

  asio::io_context loop{1};
  Cancellation cancellation;

 private:
  fixtures::TemporaryDirectory folder_;
  Descriptor outer_mounts_;
  fs::path scratch_;
  std::optional<IdRange> ids_;
  std::optional<OciSandbox> sandbox_;
};

}  // namespace

TEST_CASE("sandbox: a command runs as root of a user namespace of its own, with few rights") {
  SandboxFixture sandbox;
  sandbox.must_prepare(sandbox.spec());
  const auto ran = sandbox.run(
      "id; cat /proc/self/uid_map; grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; exit 7");
  REQUIRE_MESSAGE(ran.exit.has_value(), (ran.exit ? "" : ran.exit.error().message));
  CHECK(ran.exit->status.code == 7);
  CHECK(ran.output.find("uid=0") == 0);
  CHECK(ran.output.find(is_rootless() ? "0          1" : "0 1879048192") != std::string::npos);
  CHECK(ran.output.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(ran.output.find("Seccomp:\t2") != std::string::npos);
}

TEST_CASE("sandbox: there is no network but loopback, and no host in /sys") {
  SandboxFixture sandbox;
  sandbox.must_prepare(sandbox.spec());
  const auto ran = sandbox.run("ls /sys/class/net; cat /etc/resolv.conf");
  CHECK(ran.output == "lo\n# this job resolves no names itself\n");
}

TEST_CASE("sandbox: with a proxy the network holds its listener, and nothing else") {
  SandboxFixture sandbox;
  auto spec = sandbox.spec();
  spec.network = NetworkMode::proxy;
  sandbox.must_prepare(std::move(spec));
  const pid_t server = ::fork();
  if (server == 0) {
    pollfd ready{.fd = sandbox.proxy_listener(), .events = POLLIN, .revents = 0};
    const bool came = ::poll(&ready, 1, 60'000) == 1;
    const int peer = came ? ::accept(ready.fd, nullptr, nullptr) : -1;
    ::_exit(peer >= 0 && ::write(peer, "hello\n", 6) == 6 ? 0 : 1);
  }
  const auto ran = sandbox.run(
      "ls /sys/class/net; nc 127.0.0.1 3128 < /dev/null; nc -w 1 192.0.2.1 80 < /dev/null && echo "
      "out");
  CHECK(ran.output.find("lo\nhello\n") == 0);
  CHECK(ran.output.find("out") == std::string::npos);
  CHECK(ran.output.find("unreachable") != std::string::npos);
  int status = 0;
  ::waitpid(server, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("sandbox: a job's namespaces belong to the job's own user") {
  auto ids = is_rootless() ? Result<IdRange>(IdRange::of_user_namespace())
                           : IdRange::acquire(fs::temp_directory_path() / "flow-runner-test-ids");
  REQUIRE(ids.has_value());
  const auto made = make_job_namespaces(ids->whole(), JobNetwork::isolated);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  uid_t owner = 0;
  REQUIRE(::ioctl(made->user.get(), NS_GET_OWNER_UID, &owner) == 0);
  CHECK(owner == ids->base());
  const Descriptor owning(::ioctl(made->network.get(), NS_GET_USERNS));
  struct stat expected {};
  struct stat found {};
  REQUIRE(::fstat(made->user.get(), &expected) == 0);
  REQUIRE(::fstat(owning.get(), &found) == 0);
  CHECK(found.st_ino == expected.st_ino);
}

TEST_CASE("sandbox: mounts, namespaces and devices cannot be made") {
  SandboxFixture sandbox;
  sandbox.must_prepare(sandbox.spec());
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
  sandbox.must_prepare(sandbox.spec());
  CHECK(sandbox.run("mv /old /new").exit->status.code == 0);
  const auto ran = sandbox.run("cat /new/inner/file; ls /old");
  CHECK(ran.output.find("content\n") == 0);
  CHECK(ran.exit->status.code != 0);
}

TEST_CASE("sandbox: no process of a run is left when it returns") {
  SandboxFixture sandbox;
  sandbox.must_prepare(sandbox.spec());
  const auto begin = std::chrono::steady_clock::now();
  const auto ran = sandbox.run("setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & echo started");
  REQUIRE(ran.exit.has_value());
  CHECK(ran.output == "started\n");
  CHECK(std::chrono::steady_clock::now() - begin < 20s);
}

TEST_CASE("sandbox: a cancelled command gets TERM, and KILL after its grace") {
  SandboxFixture sandbox;
  sandbox.must_prepare(sandbox.spec());
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
  sandbox.must_prepare(std::move(spec));
  const auto ran = sandbox.run("dd if=/dev/zero of=/tmp/large bs=1048576 count=128");
  REQUIRE_MESSAGE(ran.exit.has_value(), (ran.exit ? "" : ran.exit.error().message));
  CHECK(ran.exit->oom_kills > 0);
  CHECK_FALSE(ran.exit->status.success());
}

TEST_CASE("sandbox: a fork bomb meets the process limit and the next run works") {
  SandboxFixture sandbox;
  auto spec = sandbox.spec();
  spec.limits.pids = 32;
  sandbox.must_prepare(std::move(spec));
  const auto ran =
      sandbox.run("i=0; while [ $i -lt 100 ]; do sleep 20 & i=$((i+1)); done; echo all");
  REQUIRE(ran.exit.has_value());
  CHECK(ran.output.find("all") == std::string::npos);
  CHECK(sandbox.run("echo next").output == "next\n");
}

TEST_CASE("sandbox: the largest file is limited, and no core is written") {
  SandboxFixture sandbox;
  auto spec = sandbox.spec();
  spec.file_bytes = 1 << 20;
  sandbox.must_prepare(std::move(spec));
  const auto ran = sandbox.run(
      "ulimit -c; dd if=/dev/zero of=/fits bs=65536 count=16 2>/dev/null && echo fits; "
      "dd if=/dev/zero of=/large bs=65536 count=17 2>/dev/null || echo stopped");
  CHECK(ran.output.find("0\nfits\nstopped\n") != std::string::npos);
}

TEST_CASE("sandbox: /tmp is bounded") {
  SandboxFixture sandbox;
  sandbox.must_prepare(sandbox.spec());
  const auto ran = sandbox.run("dd if=/dev/zero of=/tmp/large bs=1048576 count=16 2>&1");
  REQUIRE(ran.exit.has_value());
  CHECK(ran.exit->status.code != 0);
}

TEST_CASE("sandbox: a container that cannot start is an error, not an exit code") {
  SandboxFixture sandbox;
  sandbox.must_prepare(sandbox.spec());
  const auto ran = sandbox.run("true", 2s, "/bin/sh/not-a-folder");
  REQUIRE(ran.exit.has_error());
  CHECK(ran.exit.error().message.find("could not start the container") != std::string::npos);
}

TEST_CASE("sandbox: destroy is safe without prepare and when called twice") {
  SandboxFixture sandbox;
  OciSandbox never(base / "runtime.json");
  CHECK(sandbox.complete(never.destroy()).has_value());
  CHECK(sandbox.complete(never.destroy()).has_value());
}
