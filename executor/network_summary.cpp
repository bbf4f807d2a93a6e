#include "executor/network_summary.hpp"

#include <algorithm>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>

#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;

// NetworkLog stops at half of it.
constexpr std::size_t max_file_bytes = 32U << 20;
constexpr std::size_t max_summary_bytes = 512;

/// The writer made it so; a file can be copied from anywhere.
std::string plain_summary(std::string_view text) {
  std::string safe(text.substr(0, max_summary_bytes));
  for (char& c : safe)
    if (c < ' ' || c > '~') c = '?';
  return safe;
}

std::string text_of(const json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string()
             ? plain_summary(found->get_ref<const std::string&>())
             : std::string();
}

std::uint64_t number_of(const json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string target_of(const json& line) {
  const std::string host = text_of(line, "host");
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(number_of(line, "port"));
}

void count(const json& line, const std::string& kind, NetworkHost& host) {
  if (kind == "finished") {
    ++host.connections;
    host.bytes_up += number_of(line, "bytes_up");
    host.bytes_down += number_of(line, "bytes_down");
    return;
  }
  ++(kind == "denied" ? host.denied : host.failed);
  if (host.reason.empty()) host.reason = text_of(line, "reason");
}

json counts_of(const NetworkHost& host) {
  return {{"connections", host.connections},
          {"bytes_up", host.bytes_up},
          {"bytes_down", host.bytes_down},
          {"denied", host.denied},
          {"failed", host.failed}};
}

}  // namespace

NetworkSummary summarize_network(std::string_view lines) {
  NetworkSummary summary;
  std::map<std::string, NetworkHost> hosts;
  while (!lines.empty()) {
    const auto end = std::min(lines.find('\n'), lines.size());
    const json line = json::parse(lines.substr(0, end), nullptr, false);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (!line.is_object()) continue;
    const std::string kind = text_of(line, "kind");
    if (kind == "truncated") summary.complete = false;
    if (kind != "finished" && kind != "denied" && kind != "failed") continue;
    count(line, kind, summary.total);
    const std::string target = target_of(line);
    if (hosts.size() < NetworkSummary::max_hosts || hosts.contains(target))
      count(line, kind, hosts[target]);
    else
      summary.complete = false;
  }
  summary.total.reason.clear();
  for (auto& [name, host] : hosts) {
    host.host = name;
    summary.hosts.push_back(std::move(host));
  }
  return summary;
}

Result<std::optional<NetworkSummary>> read_network_summary(const std::filesystem::path& file) {
  // Without O_NONBLOCK a FIFO in its place would hold us for ever.
  auto opened = open_file(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!opened && opened.error().code == ErrorCode::not_found)
    return std::optional<NetworkSummary>();
  if (!opened) return std::move(opened).error();
  struct stat facts {};
  if (::fstat(opened->get(), &facts) != 0) return errno_error("cannot read " + file.string());
  if (!S_ISREG(facts.st_mode))
    return Error{ErrorCode::invalid_input, file.string() + " is not a file"};
  FR_TRY(const std::string lines, read_all(opened->get(), max_file_bytes, file.string()));
  return std::optional(summarize_network(lines));
}

json to_json(const NetworkSummary& summary) {
  json object = counts_of(summary.total);
  object["complete"] = summary.complete;
  object["hosts"] = json::array();
  for (const NetworkHost& host : summary.hosts) {
    json entry = counts_of(host);
    entry["host"] = host.host;
    entry["reason"] = host.reason.empty() ? json() : json(host.reason);
    object["hosts"].push_back(std::move(entry));
  }
  return object;
}

}  // namespace flow_runner
