// flow-runner-probe in a real sandbox finds every way out closed, and outside of one it finds them
// open: the listeners that it looks for live in a network namespace of this program's own.
#include <arpa/inet.h>
#include <cstring>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <map>
#include <net/if.h>
#include <optional>
#include <sched.h>
#include <set>
#include <sstream>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "sandbox/mount.hpp"
#include "sandbox/oci_sandbox.hpp"
#include "sandbox/probe/probe_table.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
namespace fs = std::filesystem;

namespace {

constexpr const char* outside_address = "192.0.2.1";

void set_interface(const char* name, const char* address) {
  const Descriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  sockaddr_in target{};
  target.sin_family = AF_INET;
  REQUIRE(::inet_pton(AF_INET, address, &target.sin_addr) == 1);
  std::memcpy(&request.ifr_addr, &target, sizeof target);
  REQUIRE(::ioctl(fd.get(), SIOCSIFADDR, &request) == 0);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  REQUIRE(::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0);
}

Descriptor listen_on(const sockaddr* address, socklen_t size) {
  Descriptor fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(fd.get(), address, size) == 0);
  REQUIRE(::listen(fd.get(), 16) == 0);
  return fd;
}

/// What stands for the host: a network namespace with real listeners, and a private mount tree.
class Outside {
 public:
  Outside() {
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
    REQUIRE(enter_mount_namespace(ProcMount::keep).has_value());
    fs::create_directories("/run/flow-runner");
    REQUIRE(mount_tmpfs("/run/flow-runner", 64 << 20, 0711).has_value());
    set_interface("lo", "127.0.0.1");
    set_interface("lo:1", outside_address);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_ANY);
    tcp_ = listen_on(reinterpret_cast<const sockaddr*>(&any), sizeof any);
    socklen_t size = sizeof any;
    REQUIRE(::getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&any), &size) == 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path + 1, "probe", 5);
    abstract_ = listen_on(reinterpret_cast<const sockaddr*>(&name),
                          static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 6));
    facts = {"PROBE_TCP_PORT=" + std::to_string(ntohs(any.sin_port)),
             std::string("PROBE_OUTSIDE=") + outside_address, "PROBE_ABSTRACT=probe",
             "PROBE_CANARY_NAME=PROBE_TEST_CANARY",
             "PROBE_HOST_PID_NS=" + fs::read_symlink("/proc/self/ns/pid").string()};
  }

  std::vector<std::string> facts;

 private:
  Descriptor tcp_, abstract_;
};

Outside& outside() {
  static Outside only;
  return only;
}

std::map<std::string, nlohmann::json> parse(const std::string& text) {
  std::map<std::string, nlohmann::json> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto value = nlohmann::json::parse(line, nullptr, false);
    REQUIRE_MESSAGE(value.is_object(), text);
    const std::string id = value.at("id");
    found[id] = std::move(value);
  }
  return found;
}

template <class T>
T complete(asio::io_context& loop, asio::awaitable<T> work) {
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

}  // namespace

TEST_CASE("probe: outside of a sandbox it finds the ways out open") {
  auto& host = outside();
  asio::io_context loop{1};
  Cancellation cancellation;
  ProcessSpec spec;
  spec.argv = {FLOW_RUNNER_PROBE};
  spec.environment = host.facts;
  spec.environment.emplace_back("PROBE_TEST_CANARY=1");
  const Descriptor leaked(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  spec.extra_fds = {{leaked.get(), 9}};
  const auto output = complete(loop, run_process(spec, {}, cancellation));
  REQUIRE_MESSAGE(output.has_value(), (output ? "" : output.error().message));
  auto found = parse(output->stdout_text);
  // The namespace that stands for the host has no interface but lo.
  found.erase("host_interfaces");
  CHECK(found.size() + 1 == probe_table.size());
  if (!fs::exists("/proc/sysrq-trigger")) {
    MESSAGE("sysrq cannot be shown open: this kernel has no /proc/sysrq-trigger");
    found.erase("sysrq");
  }
  for (const auto& [id, probe] : found) CHECK_MESSAGE(probe.at("outcome") == "open", probe.dump());
}

TEST_CASE("probe: in a sandbox without network every way out is closed") {
  auto& host = outside();
  const fixtures::TemporaryDirectory folder;
  for (const char* name : {"image", "root"}) fs::create_directories(folder.path() / name);
  fs::create_directories(folder.path() / "image/tmp");
  fs::copy_file(FLOW_RUNNER_PROBE, folder.path() / "image/probe");
  const fs::path scratch = "/run/flow-runner/probe-test";
  fs::create_directories(scratch);
  fs::permissions(scratch, fs::perms(0711));
  const auto ids = IdRange::acquire(folder.path() / "ids");
  REQUIRE(ids.has_value());
  SandboxSpec spec;
  spec.id = "probe-test-" + std::to_string(::getpid());
  spec.scratch = scratch;
  spec.root_overlay = folder.path() / "root";
  spec.image_layers = {folder.path() / "image"};
  spec.ids = &*ids;
  spec.limits = {256 << 20, 100, 0};
  spec.tmp_bytes = 8 << 20;
  asio::io_context loop{1};
  Cancellation cancellation;
  OciSandbox sandbox("/run/flow-runner/runtime.json");
  const auto prepared = complete(loop, sandbox.prepare(std::move(spec), cancellation));
  REQUIRE_MESSAGE(prepared.has_value(), (prepared ? "" : prepared.error().message));

  const Descriptor output(
      ::open((folder.path() / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  SandboxCommand command;
  command.argv = {"/probe"};
  command.environment = host.facts;
  command.working_directory = "/";
  command.output_fd = output.get();
  const auto exit = complete(loop, sandbox.run(command, cancellation));
  REQUIRE_MESSAGE(exit.has_value(), (exit ? "" : exit.error().message));
  CHECK(exit->status.success());
  const auto text = read_file(folder.path() / "out", 1 << 20);
  REQUIRE(text.has_value());
  const auto found = parse(*text);
  CHECK(found.size() == probe_table.size());
  for (const auto& [id, probe] : found)
    CHECK_MESSAGE(probe.at("outcome") == "closed", probe.dump());
  CHECK(complete(loop, sandbox.destroy()).has_value());
}
