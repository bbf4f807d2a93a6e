#include "sandbox/image_lease.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace flow_runner {

namespace asio = boost::asio;

Result<std::optional<Descriptor>> try_file_lock(const std::filesystem::path& file, LockKind kind) {
  const int operation = (kind == LockKind::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  for (int attempt = 0; attempt < 16; ++attempt) {
    FR_TRY(Descriptor lock, open_file(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    if (::flock(lock.get(), operation) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<Descriptor>();
      if (errno == EINTR) continue;
      return errno_error("cannot lock " + file.string());
    }
    // Whoever removed the file held its lock: what was locked here may be a file without a name.
    struct stat ours {
    }, named{};
    if (::fstat(lock.get(), &ours) == 0 && ::stat(file.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
      return std::optional<Descriptor>(std::move(lock));
  }
  return Error{ErrorCode::unavailable, "the lock " + file.string() + " is removed again and again"};
}

asio::awaitable<Result<Descriptor>> file_lock(std::filesystem::path file, LockKind kind,
                                              std::chrono::steady_clock::time_point deadline,
                                              std::string what, Cancellation& cancellation) {
  using std::chrono::milliseconds;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  const auto on_request = cancellation.on_request([&](StopCause) { timer.cancel(); });
  for (milliseconds pause(10);; pause = std::min(pause * 2, milliseconds(200))) {
    FR_CO_TRY(auto lock, try_file_lock(file, kind));
    if (lock) co_return std::move(*lock);
    if (cancellation.requested())
      co_return Error{ErrorCode::cancelled, "waiting for " + what + " was cancelled"};
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) co_return Error{ErrorCode::timed_out, "waited too long for " + what};
    timer.expires_at(std::min(now + pause, deadline));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace flow_runner
