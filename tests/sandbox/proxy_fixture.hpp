// ProxyFixture: the real flow-runner-proxy on loopback, and small blocking peers for both its
// sides.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "sandbox/descriptor.hpp"
#include "sandbox/network_proxy.hpp"

namespace flow_runner::test {

/// No wait of a test is longer.
inline constexpr std::chrono::seconds patience{20};

/// A connected socket; every call ends within `patience`, or throws.
class Peer {
 public:
  explicit Peer(Descriptor socket);
  static Peer connect(std::uint16_t port);

  void send(std::string_view data);
  /// Whether the other side takes it all.
  bool try_send(std::string_view data);
  /// To and with `end`; throws when the other side ends before.
  std::string read_until(std::string_view end);
  std::string read_bytes(std::size_t count);
  /// To the other side's end; a reset is an end.
  std::string read_to_end();
  /// The same, without keeping it.
  std::size_t count_to_end();
  /// Header and body, by Content-Length or to the end.
  std::string read_response();
  void shut_down_writing();
  void close() { socket_.close(); }
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  bool fill();  ///< false: the end

  Descriptor socket_;
  std::string buffer_;
};

/// A listening socket on 127.0.0.1, of this thread's network.
Descriptor listen_on_loopback();
std::uint16_t port_of(int socket);

/// A server on loopback: a thread that serves one connection after the other by `serve`, or each in
/// a thread of its own.
class Server {
 public:
  explicit Server(std::function<void(Peer)> serve);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// 127.0.0.1:PORT
  [[nodiscard]] std::string authority() const;
  [[nodiscard]] int connections() const { return connections_; }

 private:
  Descriptor listener_;
  std::uint16_t port_;
  std::function<void(Peer)> serve_;
  std::atomic<int> connections_ = 0;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// Answers each request with `answer(header)`, until the client ends or sends a header with
/// "Connection: close".
std::function<void(Peer)> http(std::function<std::string(const std::string& header)> answer);
std::string ok(std::string_view body);

struct ProxyOptions {
  std::vector<std::string> allow{};  ///< entries
  std::vector<std::string> own{};    ///< entries with any_address
  std::vector<std::string> deny{};
  ProxyLimits limits{};
  std::vector<std::string> upstream{};  ///< environment
  int listener = -1;                    ///< -1: a listener of its own
};

class ProxyFixture {
 public:
  explicit ProxyFixture(const ProxyOptions& options);
  ~ProxyFixture();
  ProxyFixture(const ProxyFixture&) = delete;
  ProxyFixture& operator=(const ProxyFixture&) = delete;

  [[nodiscard]] Peer connect() const { return Peer::connect(port_); }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Process id of the only child of this process that is a flow-runner-proxy.
  [[nodiscard]] int pid() const;
  [[nodiscard]] std::size_t resident_bytes() const;
  /// The next event, in order.
  NetworkEvent event();
  Result<void> stop(std::chrono::milliseconds grace = patience);
  /// Events that nobody took yet.
  std::size_t pending();

 private:
  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<NetworkEvent> events_;
  std::size_t taken_ = 0;
  std::unique_ptr<NetworkProxy> proxy_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace flow_runner::test
