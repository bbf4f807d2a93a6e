#include "daemon/cli/doctor_view.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "config/network_presets.hpp"

namespace flow_runner::cli {
namespace {

using nlohmann::json;

const ProbeEntry& entry_of(const ProbeOutcome& outcome) {
  return *std::find_if(probe_table.begin(), probe_table.end(),
                       [&](const ProbeEntry& entry) { return entry.id == outcome.id; });
}

std::vector<std::string> names_of(LayerSet layers) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < sandbox_layer_names.size(); ++i)
    if (const auto layer = static_cast<SandboxLayer>(i); layers.has(layer))
      names.emplace_back(to_string(layer));
  return names;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string padded(std::string_view text, std::size_t width) {
  std::string cell(text);
  cell.resize(std::max(width, cell.size()), ' ');
  return cell + "  ";
}

std::size_t count(const std::vector<ProbeOutcome>& probes, ProbeVerdict verdict) {
  return static_cast<std::size_t>(
      std::count_if(probes.begin(), probes.end(),
                    [&](const ProbeOutcome& probe) { return probe.verdict == verdict; }));
}

json probe_json(const DoctorReport& report) {
  const auto& probe = *report.probe;
  if (!probe) return {{"error", probe.error().message}};
  json probes = json::array();
  for (const auto& outcome : probe->probes) {
    const auto& entry = entry_of(outcome);
    probes.push_back({{"id", outcome.id},
                      {"tries", entry.tries},
                      {"verdict", to_string(outcome.verdict)},
                      {"detail", outcome.detail},
                      {"closed_by", names_of(layers_closing(entry, report.network))}});
  }
  return {{"layers", probe->layers},
          {"missing_layers", probe->missing_layers},
          {"probes", std::move(probes)}};
}

json self_check_json(const Result<std::vector<ProbeOutcome>>& check) {
  if (!check) return {{"error", check.error().message}};
  json list = json::array();
  for (const auto& outcome : *check)
    list.push_back({{"id", outcome.id},
                    {"shown", outcome.verdict == ProbeVerdict::open},
                    {"detail", outcome.detail}});
  return list;
}

std::string host_text(const std::vector<HostFact>& facts) {
  std::string text = "This host\n";
  for (const auto& fact : facts) {
    text += "  " + padded(to_string(fact.state), 7) + padded(fact.name, 14) + fact.detail + "\n";
    if (!fact.cure.empty()) text += padded("", 25) + "→ " + fact.cure + "\n";
  }
  return text;
}

std::string probe_text(const DoctorReport& report) {
  const auto& probe = *report.probe;
  if (!probe) return "\nThe sandbox was refused: " + probe.error().message + "\n";
  const auto closed = count(probe->probes, ProbeVerdict::closed);
  std::string text = "\nWays out of a sandbox with the network mode " +
                     std::string(to_string(report.network)) + ": " +
                     std::to_string(probe->probes.size()) + " tried, " + std::to_string(closed) +
                     " closed\n";
  for (const auto& outcome : probe->probes)
    text += "  " + padded(to_string(outcome.verdict), 7) + padded(outcome.id, 21) +
            std::string(entry_of(outcome).tries) + ": " + outcome.detail + "\n";
  text += "Layers in force: " + joined(probe->layers) + "\n";
  if (!probe->missing_layers.empty())
    text += "Layers that this host cannot give: " + joined(probe->missing_layers) + "\n";
  return text;
}

std::string self_check_text(const DoctorReport& report) {
  const auto& check = *report.self_check;
  if (!check) return "\nThe self-check failed: " + check.error().message + "\n";
  std::string text = "\nWithout the layers that close it, a probe must come out open: " +
                     std::to_string(count(*check, ProbeVerdict::open)) + " of " +
                     std::to_string(check->size()) + " do\n";
  for (const auto& outcome : *check)
    if (outcome.verdict != ProbeVerdict::open)
      text += "  not shown  " + padded(outcome.id, 21) + "without " +
              joined(names_of(layers_closing(entry_of(outcome), report.network))) + ": " +
              outcome.detail + "\n";
  return text;
}

}  // namespace

bool is_healthy(const DoctorReport& report) {
  const bool host = std::none_of(report.host.begin(), report.host.end(), [](const HostFact& fact) {
    return fact.state == HostState::missing;
  });
  if (!report.probe) return host;
  return host && *report.probe &&
         count((*report.probe)->probes, ProbeVerdict::closed) == (*report.probe)->probes.size();
}

json doctor_json(const DoctorReport& report) {
  json host = json::array();
  for (const auto& fact : report.host)
    host.push_back({{"name", fact.name},
                    {"state", to_string(fact.state)},
                    {"detail", fact.detail},
                    {"cure", fact.cure.empty() ? json() : json(fact.cure)}});
  return {{"schema", 1},
          {"healthy", is_healthy(report)},
          {"host", std::move(host)},
          {"network", report.probe ? json(to_string(report.network)) : json()},
          {"probe", report.probe ? probe_json(report) : json()},
          {"self_check", report.self_check ? self_check_json(*report.self_check) : json()}};
}

std::string doctor_text(const DoctorReport& report) {
  std::string text = host_text(report.host);
  if (report.probe) text += probe_text(report);
  if (report.self_check) text += self_check_text(report);
  text += is_healthy(report) ? "\nJobs can run here.\n"
                             : "\nNot all is well: see what is missing, open or not_run above.\n";
  return text;
}

}  // namespace flow_runner::cli
