// A real sandbox of this host closes every way out, and each probe notices when the layers that
// close it are gone. Root and an ordinary user run it.
#include "sandbox/isolation_probe.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <set>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "sandbox/probe/probe_facts.hpp"
#include "sandbox/process.hpp"
#include "sandbox/rootless.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
namespace fs = std::filesystem;

namespace {

IsolationProbeSpec spec_for(NetworkMode network, const fs::path& folder) {
  IsolationProbeSpec spec;
  spec.network = network;
  spec.folder = folder;
  spec.programs = fs::path(FLOW_RUNNER_PROBE).parent_path();
  return spec;
}

/// What cannot be shown open on this host, with the reason.
std::set<std::string_view> not_shown_here() {
  std::set<std::string_view> ids;
  if (::access("/dev/net/tun", R_OK | W_OK) != 0) {
    MESSAGE("host_interfaces cannot be shown open: no /dev/net/tun to make a second one with");
    ids.insert("host_interfaces");
  }
  // An ordinary user has none of these rights that the layers could hold back.
  if (is_rootless())
    for (const char* id : {"bpf", "file_handle", "core_pattern", "device_node"}) ids.insert(id);
  return ids;
}

void check_all_closed(NetworkMode network) {
  const fixtures::TemporaryDirectory folder;
  const auto report = probe_isolation(spec_for(network, folder.path()));
  REQUIRE_MESSAGE(report.has_value(), (report ? "" : report.error().message));
  CHECK(report->missing_layers.empty());
  CHECK(report->probes.size() == probe_table.size());
  for (const auto& probe : report->probes)
    CHECK_MESSAGE(probe.verdict == ProbeVerdict::closed, probe.id, ": ", probe.detail);
}

void check_each_can_be_open(NetworkMode network, std::vector<std::string_view> only,
                            std::size_t expected) {
  const fixtures::TemporaryDirectory folder;
  auto spec = spec_for(network, folder.path());
  spec.only = std::move(only);
  const auto proofs = prove_probes(spec);
  REQUIRE_MESSAGE(proofs.has_value(), (proofs ? "" : proofs.error().message));
  CHECK(proofs->size() == expected);
  const auto excepted = not_shown_here();
  for (const auto& probe : *proofs)
    if (!excepted.contains(probe.id))
      CHECK_MESSAGE(probe.verdict == ProbeVerdict::open, probe.id, ": ", probe.detail);
}

}  // namespace

TEST_CASE("isolation probe: without network every way out is closed") {
  check_all_closed(NetworkMode::none);
}

TEST_CASE("isolation probe: with the proxy every way out is closed") {
  check_all_closed(NetworkMode::proxy);
}

TEST_CASE("isolation probe: without the layers that close it each is open") {
  // Of two no layer is known: see the case of what has leaked.
  std::size_t expected = 0;
  for (const auto& probe : probe_table) {
    if (probe.closed_by.empty()) continue;
    if (is_closed_by_kernel(probe.id))
      MESSAGE(probe.id, " cannot be shown open: this kernel closes it");
    else
      ++expected;
  }
  check_each_can_be_open(NetworkMode::none, {}, expected);
}

TEST_CASE("isolation probe: with a proxy, without its rules or the network namespace, too") {
  std::vector<std::string_view> ids;
  for (const auto& probe : probe_table)
    if (probe.closed_by.has(SandboxLayer::network) ||
        probe.closed_by.has(SandboxLayer::network_policy))
      ids.push_back(probe.id);
  const auto count = ids.size();
  check_each_can_be_open(NetworkMode::proxy, std::move(ids), count);
}

TEST_CASE("isolation probe: outside of a sandbox the prober finds what has leaked") {
  asio::io_context loop{1};
  Cancellation cancellation;
  ProcessSpec spec;
  spec.argv = {FLOW_RUNNER_PROBE, "leaked_descriptors", "leaked_environment"};
  spec.environment = {std::string(probe_facts::secret_name) + "=LEAKED", "LEAKED=1"};
  const Descriptor leaked(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  spec.extra_fds = {{leaked.get(), 9}};
  std::string text;
  asio::co_spawn(loop, run_process(spec, {}, cancellation),
                 [&](const std::exception_ptr&, Result<RunOutput> output) {
                   if (output) text = output->stdout_text;
                 });
  loop.run();
  for (const char* id : {"leaked_descriptors", "leaked_environment"})
    CHECK_MESSAGE(
        text.find(std::string("{\"id\":\"") + id + "\",\"outcome\":\"open\"") != std::string::npos,
        text);
}

TEST_CASE("isolation probe: the host's own network is nothing to prove") {
  const fixtures::TemporaryDirectory folder;
  const auto report = probe_isolation(spec_for(NetworkMode::host, folder.path()));
  REQUIRE(!report.has_value());
  CHECK(report.error().code == ErrorCode::invalid_input);
}

TEST_CASE("isolation probe: a sandbox that was refused is an error with the reason") {
  const fixtures::TemporaryDirectory folder;
  auto spec = spec_for(NetworkMode::none, folder.path());
  spec.programs = folder.path();
  const auto report = probe_isolation(spec);
  REQUIRE(!report.has_value());
  CHECK(report.error().message.find("flow-runner-probe") != std::string::npos);
}
