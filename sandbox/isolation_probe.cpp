#include "sandbox/isolation_probe.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sandbox/descriptor.hpp"
#include "sandbox/isolation_probe_run.hpp"
#include "sandbox/probe/probe_facts.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;

constexpr int max_seconds = 120;
constexpr std::size_t max_report = 1 << 20;

/// As the report crosses the pipe.
json to_json(const Result<IsolationReport>& report) {
  if (!report)
    return {{"code", static_cast<int>(report.error().code)}, {"error", report.error().message}};
  json probes = json::array();
  for (const auto& probe : report->probes)
    probes.push_back(
        {{"id", probe.id}, {"verdict", static_cast<int>(probe.verdict)}, {"detail", probe.detail}});
  return {{"probes", std::move(probes)},
          {"layers", report->layers},
          {"missing_layers", report->missing_layers}};
}

const ProbeEntry* find_probe(std::string_view id) {
  const auto* const found = std::find_if(probe_table.begin(), probe_table.end(),
                                         [&](const ProbeEntry& entry) { return entry.id == id; });
  return found == probe_table.end() ? nullptr : found;
}

Result<IsolationReport> from_json(const std::string& text) {
  const auto value = json::parse(text, nullptr, false);
  if (!value.is_object())
    return Error{ErrorCode::internal, "the isolation probe ended without a report"};
  if (value.contains("error"))
    return Error{static_cast<ErrorCode>(value.at("code").get<int>()), value.at("error")};
  IsolationReport report;
  for (const auto& probe : value.at("probes")) {
    const auto* entry = find_probe(probe.at("id").get<std::string>());
    if (entry == nullptr) continue;
    report.probes.push_back(
        {entry->id, static_cast<ProbeVerdict>(probe.at("verdict").get<int>()), probe.at("detail")});
  }
  value.at("layers").get_to(report.layers);
  value.at("missing_layers").get_to(report.missing_layers);
  return report;
}

[[noreturn]] void inner_main(const IsolationProbeSpec& spec, int report_fd) {
  ::prctl(PR_SET_NAME, probe_facts::runner_name);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_IGN);
  Result<IsolationReport> report = Error{ErrorCode::internal, "the isolation probe did not run"};
  try {
    report = run_isolation_probe(spec);
  } catch (const std::exception& error) {
    report = Error{ErrorCode::internal, std::string("the isolation probe failed: ") + error.what()};
  }
  const auto text = to_json(report).dump(-1, ' ', false, json::error_handler_t::replace);
  const auto written = write_all(report_fd, text);
  ::_exit(written ? 0 : 1);
}

/// Becomes the parent of a process that is the first of a PID namespace, and ends with it.
[[noreturn]] void outer_main(const IsolationProbeSpec& spec, int report_fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto fail = [&](const char* what) {
    (void)write_all(report_fd, to_json(Result<IsolationReport>(errno_error(what))).dump());
    ::_exit(1);
  };
  if (::unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC) != 0)
    fail("cannot make the namespaces that stand for the host");
  const pid_t inner = ::fork();
  if (inner < 0) fail("cannot fork");
  if (inner == 0) inner_main(spec, report_fd);
  ::close(report_fd);
  int status = 0;
  while (::waitpid(inner, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(0);
}

/// Everything until the writers are gone, or an Error when that takes too long.
Result<std::string> read_report(int fd) {
  std::string text;
  timespec start{};
  ::clock_gettime(CLOCK_MONOTONIC, &start);
  while (text.size() < max_report) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto left = max_seconds - (now.tv_sec - start.tv_sec);
    pollfd wait{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left) * 1000) == 0)
      return Error{ErrorCode::timed_out,
                   "the isolation probe took longer than " + std::to_string(max_seconds) + " s"};
    char buffer[4096];
    const auto got = ::read(fd, buffer, sizeof buffer);
    if (got == 0) return text;
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    if (got < 0 && errno != EINTR) return errno_error("cannot read the isolation probe's report");
  }
  return Error{ErrorCode::internal, "the isolation probe's report is too long"};
}

}  // namespace

std::string_view to_string(ProbeVerdict verdict) {
  switch (verdict) {
    case ProbeVerdict::closed:
      return "closed";
    case ProbeVerdict::open:
      return "open";
    case ProbeVerdict::not_run:
      break;
  }
  return "not_run";
}

Result<IsolationReport> probe_isolation(const IsolationProbeSpec& spec) {
  if (spec.network == NetworkMode::host)
    return Error{ErrorCode::invalid_input,
                 "the mode `host` shares the host's network: there is nothing to prove; probe "
                 "`none` or `proxy`"};
  FR_TRY(Pipe report, make_pipe());
  const pid_t outer = ::fork();
  if (outer < 0) return errno_error("cannot fork");
  if (outer == 0) outer_main(spec, report.write.get());
  report.write.close();
  const auto text = read_report(report.read.get());
  // Its death is that of everything below; after a report it only ends sooner.
  ::kill(outer, SIGKILL);
  ::waitpid(outer, nullptr, 0);
  std::error_code ignored;
  for (const char* name : {"image", "root"})
    std::filesystem::remove_all(spec.folder / name, ignored);
  if (!text) return text.error();
  return from_json(*text);
}

LayerSet layers_closing(const ProbeEntry& probe, NetworkMode network) {
  // Without a proxy it is the network namespace that keeps a job from finding one.
  if (probe.closed_by == LayerSet{SandboxLayer::network_policy} && network == NetworkMode::none)
    return {SandboxLayer::network};
  return probe.closed_by;
}

bool is_closed_by_kernel(std::string_view id) {
  if (id == "sysrq") return ::access("/proc/sysrq-trigger", F_OK) != 0;
  if (id != "perf_event") return false;
  // Debian's kernels know a level that no container is above.
  const auto paranoid = read_file("/proc/sys/kernel/perf_event_paranoid", 64);
  return paranoid && std::atoi(paranoid->c_str()) > 2;
}

Result<std::vector<ProbeOutcome>> prove_probes(const IsolationProbeSpec& spec) {
  std::map<LayerSet, std::vector<std::string_view>> groups;
  for (const auto& probe : probe_table) {
    const bool wanted = spec.only.empty() ||
                        std::find(spec.only.begin(), spec.only.end(), probe.id) != spec.only.end();
    const auto closing = layers_closing(probe, spec.network);
    if (wanted && !closing.empty() && !is_closed_by_kernel(probe.id))
      groups[closing].push_back(probe.id);
  }
  std::map<std::string_view, ProbeOutcome> found;
  for (const auto& [layers, ids] : groups) {
    IsolationProbeSpec without = spec;
    without.taken_away = layers;
    without.only = ids;
    FR_TRY(const auto report, probe_isolation(without));
    for (const auto& outcome : report.probes) found[outcome.id] = outcome;
  }
  std::vector<ProbeOutcome> ordered;
  for (const auto& probe : probe_table)
    if (const auto outcome = found.find(probe.id); outcome != found.end())
      ordered.push_back(outcome->second);
  return ordered;
}

}  // namespace flow_runner
