// ImageLease: the locks of the image store, kept in files so that they hold between processes.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// A shared lock on one image: while any process holds one, no prune removes the image. Ends with
/// the object or the process. Making it records the time of use.
class ImageLease {
 public:
  ImageLease() = default;  ///< of nothing
  explicit ImageLease(Descriptor lock) : lock_(std::move(lock)) {}

 private:
  Descriptor lock_;
};

enum class LockKind { shared, exclusive };

/// flock(2) on the file, which is made when missing. Absent: somebody holds it. Survives that the
/// file is removed by its exclusive holder meanwhile.
Result<std::optional<Descriptor>> try_file_lock(const std::filesystem::path& file, LockKind kind);

/// Waits for the lock without blocking the loop. timed_out names `what`; cancelled by the
/// cancellation.
boost::asio::awaitable<Result<Descriptor>> file_lock(std::filesystem::path file, LockKind kind,
                                                     std::chrono::steady_clock::time_point deadline,
                                                     std::string what, Cancellation& cancellation);

}  // namespace flow_runner
