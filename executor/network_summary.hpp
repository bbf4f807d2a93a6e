// NetworkSummary: what a finished job's network.jsonl says, host by host.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/result.hpp"

namespace flow_runner {

struct NetworkHost {
  std::string host;  ///< `host:port`, printable ASCII
  std::uint64_t connections = 0;
  std::uint64_t bytes_up = 0, bytes_down = 0;
  std::uint64_t denied = 0, failed = 0;
  std::string reason;  ///< of the first denial or failure, printable ASCII; empty: none
};

struct NetworkSummary {
  std::vector<NetworkHost> hosts;  ///< by name; the job chose them, so at most max_hosts
  NetworkHost total;
  bool complete = true;  ///< false: the file had reached its limit, or a host more than max_hosts
  static constexpr std::size_t max_hosts = 4096;
};

/// Counts the lines of a network.jsonl. A line that is none of NetworkLog's counts for nothing.
NetworkSummary summarize_network(std::string_view lines);

/// Reads `file`: regular, not through a link, bounded. Absent: the job had no proxy.
Result<std::optional<NetworkSummary>> read_network_summary(const std::filesystem::path& file);

/// `connections bytes_up bytes_down denied failed complete hosts[{host …}]`.
nlohmann::json to_json(const NetworkSummary& summary);

}  // namespace flow_runner
