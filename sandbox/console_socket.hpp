// ConsoleSocket: where an OCI runtime hands over the master of a container's terminal.
#pragma once

#include <filesystem>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// The socket of a runtime's `--console-socket`: it connects and sends one descriptor (SCM_RIGHTS).
class ConsoleSocket {
 public:
  /// Listens on `path` (new, 0600). A path of a socket has 107 bytes at most.
  static Result<ConsoleSocket> listen(const boost::asio::any_io_executor& executor,
                                      const std::filesystem::path& path);

  /// The terminal's master. Without a deadline: close() ends it with `cancelled`.
  boost::asio::awaitable<Result<Descriptor>> receive();
  void close() noexcept;

 private:
  explicit ConsoleSocket(boost::asio::posix::stream_descriptor listener);
  boost::asio::posix::stream_descriptor listener_;
  boost::asio::posix::stream_descriptor connection_;
};

}  // namespace flow_runner
