#include "executor/job_follower.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sandbox/alarm.hpp"

namespace flow_runner {

namespace asio = boost::asio;

namespace {

constexpr std::size_t chunk_bytes = 64 << 10;
constexpr std::size_t max_journal_line = 1 << 20;

// The kernel tells of a close a moment before it gives the lock up, and tells nothing afterwards.
constexpr std::chrono::milliseconds first_retry{1};
constexpr std::chrono::milliseconds last_retry{1024};
/// How often to look where the kernel cannot tell of changes.
constexpr std::chrono::milliseconds poll_interval{200};

// One growing file, which may not be there yet.
class Tail {
 public:
  Tail(std::filesystem::path file, std::uint64_t offset)
      : file_(std::move(file)), offset_(offset) {}

  /// Gives every piece up to the present end to `take`.
  template <class Take>
  Result<void> read_on(const Take& take) {
    if (!descriptor_) {
      auto opened = open_file(file_, O_RDONLY | O_NOFOLLOW);
      if (!opened && opened.error().code == ErrorCode::not_found) return {};
      if (!opened) return std::move(opened).error();
      descriptor_ = std::move(*opened);
    }
    buffer_.resize(chunk_bytes);
    while (true) {
      const ssize_t count =
          ::pread(descriptor_.get(), buffer_.data(), buffer_.size(), static_cast<off_t>(offset_));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return errno_error("cannot read " + file_.string());
      if (count == 0) return {};
      offset_ += static_cast<std::uint64_t>(count);
      take(std::string_view(buffer_.data(), static_cast<std::size_t>(count)));
    }
  }

  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  std::filesystem::path file_;
  std::uint64_t offset_;
  Descriptor descriptor_;
  std::string buffer_;
};

// Cuts a stream into lines; one that is too long to be a journal's is passed over.
class Lines {
 public:
  template <class Take>
  void write(std::string_view bytes, const Take& take) {
    for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
      add(bytes.substr(0, end));
      if (!too_long_) take(std::string_view(partial_));
      partial_.clear();
      too_long_ = false;
      incomplete_ = 0;
      bytes.remove_prefix(end + 1);
    }
    add(bytes);
    incomplete_ += bytes.size();
  }

  /// Bytes behind the last newline.
  [[nodiscard]] std::uint64_t incomplete() const noexcept { return incomplete_; }

 private:
  void add(std::string_view bytes) {
    if (partial_.size() + bytes.size() > max_journal_line) too_long_ = true;
    if (too_long_)
      partial_.clear();
    else
      partial_ += bytes;
  }

  std::string partial_;
  bool too_long_ = false;
  std::uint64_t incomplete_ = 0;
};

class Follower {
 public:
  Follower(const JobDirectory& job, FollowOffsets from, FollowEvents events)
      : log_(job.log_file(), from.log),
        journal_(job.journal_file(), from.journal),
        lock_name_(job.lock_file().filename()),
        events_(std::move(events)) {}

  Result<void> tell() {
    FR_CHECK(journal_.read_on([&](std::string_view bytes) {
      lines_.write(bytes, [&](std::string_view line) {
        const auto entry = parse_journal_line(line);
        if (entry && events_.on_journal) events_.on_journal(*entry);
      });
    }));
    return log_.read_on([&](std::string_view bytes) {
      if (events_.on_log) events_.on_log(bytes);
    });
  }

  [[nodiscard]] FollowOffsets offsets() const {
    return {.log = log_.offset(), .journal = journal_.offset() - lines_.incomplete()};
  }

  // What a batch of inotify events says beyond "look again".
  struct News {
    bool lock_closed = false;
    bool removed = false;
  };

  [[nodiscard]] News read_events(std::string_view batch) const {
    News news;
    while (batch.size() >= sizeof(inotify_event)) {
      inotify_event event;
      std::memcpy(&event, batch.data(), sizeof event);
      const std::size_t length = std::min(sizeof event + event.len, batch.size());
      if ((event.mask & (IN_IGNORED | IN_DELETE_SELF)) != 0) news.removed = true;
      // After an overflow anything may have happened.
      if ((event.mask & IN_Q_OVERFLOW) != 0) news.lock_closed = true;
      const bool lock = event.len > 0 && lock_name_ == batch.data() + sizeof event;
      if (lock && (event.mask & IN_CLOSE) != 0) news.lock_closed = true;
      // Our open files keep the kernel from telling of the folder itself.
      if (lock && (event.mask & IN_DELETE) != 0) news.removed = true;
      batch.remove_prefix(length);
    }
    return news;
  }

 private:
  Tail log_;
  Tail journal_;
  Lines lines_;
  std::string lock_name_;
  FollowEvents events_;
};

// Shared, so that a job that sees it held for this instant is not disturbed by other followers.
bool is_free(const Descriptor& lock) {
  if (!lock) return true;
  if (::flock(lock.get(), LOCK_SH | LOCK_NB) != 0) return false;
  ::flock(lock.get(), LOCK_UN);
  return true;
}

}  // namespace

asio::awaitable<Result<FollowOffsets>> follow_job(JobDirectory job, FollowOffsets from,
                                                  FollowEvents events) {
  const auto executor = co_await asio::this_coro::executor;
  if (!std::filesystem::is_directory(job.path()))
    co_return Error{ErrorCode::not_found,
                    "cannot watch " + job.path().string() + ": no such folder"};
  Descriptor watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const bool watched =
      watch && ::inotify_add_watch(watch.get(), job.path().c_str(),
                                   IN_CREATE | IN_MODIFY | IN_CLOSE | IN_MOVED_TO | IN_DELETE |
                                       IN_DELETE_SELF | IN_ONLYDIR) >= 0;
  // A user's inotify instances are few, and whoever uses them up must not keep jobs from being
  // followed: then we look by the clock, and wait on a pipe that never says anything.
  Descriptor silent;
  if (!watched) {
    FR_CO_TRY(Pipe pipe, make_pipe());
    watch = std::move(pipe.read);
    silent = std::move(pipe.write);
  }
  // Kept open: each close of ours would wake us (and every other follower) again.
  auto lock = open_file(job.lock_file(), O_RDONLY | O_NOFOLLOW);
  if (!lock && lock.error().code != ErrorCode::not_found) co_return std::move(lock).error();
  const Descriptor lock_descriptor = lock ? std::move(*lock) : Descriptor();

  asio::posix::stream_descriptor changes(executor, watch.release());
  Alarm retry(executor);
  bool retry_due = false;
  auto retry_delay = last_retry * 2;
  Follower follower(job, from, std::move(events));
  alignas(inotify_event) std::array<char, 4096> buffer;
  while (true) {
    const bool over = is_free(lock_descriptor);
    FR_CO_CHECK(follower.tell());
    if (over) co_return follower.offsets();

    retry_due = false;
    if (!watched) retry_delay = poll_interval;
    if (!watched || retry_delay <= last_retry) {
      retry.set(retry_delay, [&] {
        retry_due = true;
        changes.cancel();
      });
      retry_delay *= 2;
    }
    boost::system::error_code error;
    const std::size_t count = co_await changes.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    retry.cancel();
    if (error == asio::error::operation_aborted) {
      if (!retry_due) co_return Error{ErrorCode::cancelled, "no longer following the job"};
      continue;
    }
    if (error)
      co_return Error{ErrorCode::internal,
                      "cannot watch " + job.path().string() + ": " + error.message()};
    const auto news = follower.read_events(std::string_view(buffer.data(), count));
    if (news.removed)
      co_return Error{ErrorCode::not_found, "the job folder " + job.path().string() + " is gone"};
    if (news.lock_closed) retry_delay = first_retry;
  }
}

}  // namespace flow_runner
