// What doctor tells: healthy only when nothing is missing and every probe has come out closed.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "daemon/cli/doctor_view.hpp"

using namespace flow_runner;
using namespace flow_runner::cli;

namespace {

DoctorReport report_with(ProbeVerdict verdict) {
  DoctorReport report;
  report.host = {{"kernel", HostState::good, "6.1", ""}};
  IsolationReport probe;
  probe.layers = {"seccomp"};
  probe.probes = {{"ptrace", ProbeVerdict::closed, "ptrace: Operation not permitted"},
                  {"keyctl", verdict, "keyctl succeeded"}};
  report.probe = Result<IsolationReport>(probe);
  return report;
}

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("doctor: a host that lacks something is not healthy, one with less than all is") {
  DoctorReport report;
  report.host = {{"rights", HostState::limited, "rootless", "be root"}};
  CHECK(is_healthy(report));
  CHECK(has(doctor_text(report), "→ be root"));
  report.host.push_back({"init", HostState::missing, "no catatonit", "install catatonit"});
  CHECK_FALSE(is_healthy(report));
  CHECK(doctor_json(report)["host"][1]["cure"] == "install catatonit");
  CHECK(doctor_json(report)["probe"].is_null());
}

TEST_CASE("doctor: a probe that is open, or gave no answer, is told and is not healthy") {
  CHECK(is_healthy(report_with(ProbeVerdict::closed)));
  for (const auto verdict : {ProbeVerdict::open, ProbeVerdict::not_run}) {
    const auto report = report_with(verdict);
    CHECK_FALSE(is_healthy(report));
    CHECK(has(doctor_text(report), "2 tried, 1 closed"));
    const auto json = doctor_json(report);
    CHECK(json["healthy"] == false);
    CHECK(json["probe"]["probes"][1]["verdict"] == to_string(verdict));
    CHECK(json["probe"]["probes"][1]["closed_by"] == nlohmann::json::array({"seccomp"}));
  }
}

TEST_CASE("doctor: a sandbox that was refused is the reason, and not healthy") {
  auto report = report_with(ProbeVerdict::closed);
  report.probe = Result<IsolationReport>(Error{ErrorCode::denied, "no cgroup"});
  CHECK_FALSE(is_healthy(report));
  CHECK(has(doctor_text(report), "refused: no cgroup"));
  CHECK(doctor_json(report)["probe"]["error"] == "no cgroup");
}

TEST_CASE("doctor: a probe that stays closed without its layer is named by the self-check") {
  auto report = report_with(ProbeVerdict::closed);
  report.self_check = Result<std::vector<ProbeOutcome>>(
      std::vector<ProbeOutcome>{{"ptrace", ProbeVerdict::open, "ptrace succeeded"},
                                {"keyctl", ProbeVerdict::closed, "keyctl: refused"}});
  const auto text = doctor_text(report);
  CHECK(has(text, "1 of 2 do"));
  CHECK(has(text, "without seccomp: keyctl: refused"));
  CHECK_FALSE(has(text, "ptrace succeeded"));
  CHECK(doctor_json(report)["self_check"][1]["shown"] == false);
}
