// JobFollower: hears the log and journal of a job directory as they grow, until the job is over.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "executor/job_directory.hpp"

namespace flow_runner {

/// How far a job directory has been read, in bytes. Kept by whoever wants to go on after a restart.
struct FollowOffsets {
  std::uint64_t log = 0;
  std::uint64_t journal = 0;  ///< behind the last complete line
  bool operator==(const FollowOffsets&) const = default;
};

/// Called on the coroutine's executor; must not block. Either may be empty.
struct FollowEvents {
  std::function<void(std::string_view bytes)> on_log;
  std::function<void(const JournalEntry& entry)> on_journal;
};

/// Reads what lies behind `from`, then what comes, until nobody holds the job's lock and all that
/// was written has been told; returns how far it came. The journal is told before the log bytes
/// that came with it. A follower changes nothing, and any number of them may follow one job, also a
/// finished one. It waits in the kernel (inotify) and wakes only when the directory's files change.
/// Without a deadline: the job has one. Asio cancellation ends it with `cancelled`; a directory
/// that is removed ends it with not_found.
boost::asio::awaitable<Result<FollowOffsets>> follow_job(JobDirectory job, FollowOffsets from,
                                                         FollowEvents events);

}  // namespace flow_runner
