// NetworkLog: what a job's proxy allowed and refused, as lines of network.jsonl and of the log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/result.hpp"
#include "executor/masker.hpp"
#include "sandbox/network_proxy.hpp"

namespace flow_runner {

/// Takes the proxy's events. Each becomes one JSON line of `file`, masked; the first denial and the
/// first failure of a host and port are also said at once. A job chooses the hosts that it asks
/// for, so everything here is bounded: the file by `max_file_bytes` (a last line says so), the
/// lines said by `max_lines` (one more says so), the hosts counted by `max_hosts` (the rest count
/// as one). Used on one thread; nothing here throws or blocks beyond a file write.
class NetworkLog {
 public:
  struct Limits {
    std::uint64_t max_file_bytes = 16U << 20;
    std::size_t max_lines = 100;
    std::size_t max_hosts = 4096;
    std::size_t max_summary_hosts = 10;
  };

  /// Makes `file` (0640); it exists already: an error. `say` gets one unmasked line without a
  /// newline: JobLog::line() masks.
  static Result<NetworkLog> open(const std::filesystem::path& file,
                                 std::shared_ptr<const MaskerPatterns> patterns,
                                 std::function<void(const std::string&)> say, Limits limits);
  NetworkLog(NetworkLog&&) noexcept;
  NetworkLog& operator=(NetworkLog&&) noexcept;
  ~NetworkLog();

  void add(const NetworkEvent& event);

  /// The closing lines of the log: connections, hosts with counts and bytes, what was denied and
  /// failed. Empty: there were no events.
  [[nodiscard]] std::vector<std::string> summary() const;

  /// The first write error (a full disk), if any; the counts go on.
  [[nodiscard]] const Error* error() const noexcept;

 private:
  struct State;
  explicit NetworkLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace flow_runner
