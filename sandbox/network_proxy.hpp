// NetworkProxy: the only way out of a job's network, as a process of its own without rights or
// secrets.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "config/network_policy.hpp"
#include "config/result.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// Bounds of one job's proxy. Reached: the connection is refused or closed, the job goes on.
struct ProxyLimits {
  std::uint32_t connections = 512;          ///< at once; the next one gets 503
  std::uint32_t header_bytes = 64U << 10;   ///< of a request or response header
  std::chrono::seconds header_time{30};     ///< for a whole request header, TLS hello included
  std::chrono::seconds connect_time{30};    ///< to resolve and connect, all addresses
  std::chrono::seconds idle_time{15 * 60};  ///< without a byte in either direction
};

struct ProxySpec {
  std::filesystem::path program;  ///< flow-runner-proxy
  int listener_fd = -1;           ///< listening TCP socket in the job's network; borrowed
  NetworkPolicy policy;
  ProxyLimits limits;
  /// The user that the process becomes where the caller may choose: nobody on the host.
  std::uint32_t uid = 65534;
  std::uint32_t gid = 65534;
};

/// One line of network.jsonl.
struct NetworkEvent {
  enum class Kind {
    denied,    ///< by policy; nothing was connected
    failed,    ///< allowed, and the other side could not be reached
    finished,  ///< allowed and over
  };
  Kind kind = Kind::denied;
  std::string method;  ///< CONNECT, GET, …
  std::string host;    ///< as asked for, canonical where it could be read; printable ASCII, bounded
  std::uint16_t port = 0;
  std::string address;  ///< what was connected to; empty: nothing
  std::string reason;   ///< denied, failed: one sentence
  std::string cure;     ///< denied: the entry for `network.allow` that would allow it; may be empty
  int status = 0;       ///< HTTP status that the job was given
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::chrono::milliseconds duration{0};
};

/// Runs `flow-runner-proxy` for the length of one job. The process gets the policy through a memory
/// file, the listener by descriptor, and reports events as JSON lines; it gives up every
/// capability, its user, exec and the file system (but for name resolution) before it accepts the
/// first connection. One thread.
class NetworkProxy {
 public:
  /// Starts the process and returns at once; connections wait in the listener's backlog meanwhile.
  /// `on_event` is called on the executor's thread and must not block.
  static Result<std::unique_ptr<NetworkProxy>> start(
      asio::any_io_executor executor, const ProxySpec& spec,
      std::function<void(const NetworkEvent&)> on_event);
  virtual ~NetworkProxy() = default;  ///< kills the process

  /// Ends the process, after every event was handed over; within `grace`, then by force. An Error
  /// when it had died before by itself: from then on the job had no network. Safe to call twice.
  virtual asio::awaitable<Result<void>> stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace flow_runner
