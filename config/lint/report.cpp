#include "config/lint/report.hpp"

#include <nlohmann/json.hpp>

#include "config/lint/rules.hpp"
#include "config/version.hpp"

namespace flow_runner::lint {
namespace {

using nlohmann::ordered_json;

/// A path may hold bytes that are not UTF-8.
std::string dump(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// A path as a relative reference (RFC 3986): every other byte as %XX.
std::string uri_of(std::string_view path) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  static constexpr std::string_view plain = "-._~/";
  std::string uri;
  for (const char c : path) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      plain.find(c) != std::string_view::npos;
    if (kept) {
      uri += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      uri += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return uri;
}

ordered_json sarif_result(const std::string& path, const Finding& finding) {
  std::string text = finding.message;
  if (!finding.cure.empty()) text += " (" + finding.cure + ")";
  ordered_json place = {{"artifactLocation", {{"uri", uri_of(path)}}}};
  if (finding.line > 0)
    place["region"] = {{"startLine", finding.line}, {"startColumn", finding.column}};
  return {{"ruleId", finding.rule},
          {"level", to_string(finding.severity)},
          {"message", {{"text", text}}},
          {"locations", ordered_json::array({{{"physicalLocation", place}}})}};
}

}  // namespace

std::string format_text(const std::vector<FileReport>& reports) {
  std::string text;
  for (const FileReport& report : reports) {
    for (const Finding& finding : report.findings) {
      text += report.path;
      if (finding.line > 0)
        text += ':' + std::to_string(finding.line) + ':' + std::to_string(finding.column);
      text += ": " + std::string(to_string(finding.severity)) + ": " + finding.message + " [" +
              std::string(finding.rule) + "]\n";
      if (!finding.cure.empty())
        text += "    " + finding.cure + (finding.fixable ? " (--fix mends it)" : "") + "\n";
    }
  }
  return text;
}

std::string format_json(const std::vector<FileReport>& reports) {
  ordered_json array = ordered_json::array();
  for (const FileReport& report : reports) {
    for (const Finding& finding : report.findings) {
      array.push_back({{"file", report.path},
                       {"line", finding.line},
                       {"column", finding.column},
                       {"rule", finding.rule},
                       {"severity", to_string(finding.severity)},
                       {"message", finding.message},
                       {"fixable", finding.fixable}});
    }
  }
  return dump(array);
}

std::string format_sarif(const std::vector<FileReport>& reports) {
  ordered_json known = ordered_json::array();
  for (const Rule& rule : rules())
    known.push_back({{"id", rule.id}, {"shortDescription", {{"text", rule.summary}}}});
  ordered_json results = ordered_json::array();
  for (const FileReport& report : reports) {
    for (const Finding& finding : report.findings)
      results.push_back(sarif_result(report.path, finding));
  }
  const ordered_json driver = {
      {"name", "flow-runner"}, {"version", version()}, {"rules", std::move(known)}};
  const ordered_json run = {{"tool", {{"driver", driver}}},
                            {"columnKind", "unicodeCodePoints"},
                            {"results", std::move(results)}};
  return dump({{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
               {"version", "2.1.0"},
               {"runs", ordered_json::array({run})}});
}

}  // namespace flow_runner::lint
