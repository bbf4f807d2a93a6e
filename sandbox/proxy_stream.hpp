// Stream: one side of a proxied connection, with what was read from it and not used yet.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "config/result.hpp"
#include "sandbox/proxy_deadline.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// One reader and one writer at a time. Errors: timed_out when the deadline ran out, cancelled
/// after abort(), unavailable when the other side broke the connection.
class Stream {
 public:
  Stream(asio::ip::tcp::socket socket, Deadline& deadline);

  /// Reads once, behind what is buffered. 0: the other side will send no more. invalid_input:
  /// max_bytes are buffered already.
  asio::awaitable<Result<std::size_t>> fill(std::size_t max_bytes);
  [[nodiscard]] std::string_view buffered() const;
  void consume(std::size_t bytes);

  asio::awaitable<Result<void>> write(std::string_view data);
  asio::awaitable<Result<void>> write(std::string_view head, std::string_view data,
                                      std::string_view tail);

  /// No further read or write; those that wait end.
  void abort();
  [[nodiscard]] bool aborted() const noexcept { return aborted_; }
  /// No further read until linger(); one that waits ends. Not while a write waits.
  void stop_reading();
  void close();
  /// Tells the other side that nothing more comes, and reads on for a little while, so that what
  /// was written last is not lost with a reset.
  asio::awaitable<void> linger();
  /// Whether a connection that should be quiet is: neither closed nor with something to read.
  bool is_quiet();

  asio::ip::tcp::socket& socket() { return socket_; }
  Deadline& deadline() { return deadline_; }

 private:
  [[nodiscard]] Result<void> usable() const;
  [[nodiscard]] Error failure(const boost::system::error_code& error) const;

  asio::ip::tcp::socket socket_;
  Deadline& deadline_;
  Deadline::Watch watch_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool aborted_ = false;
  bool reading_stopped_ = false;
};

}  // namespace flow_runner
