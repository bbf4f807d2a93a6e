// Relay: bytes from one socket to another through a pipe, without copying them.
#pragma once

#include <cstdint>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "sandbox/proxy_stream.hpp"

namespace flow_runner {

/// Moves what comes from `from` to `to` until its end, then shuts down `to` for writing; the other
/// direction is another relay's. Each piece sets the deadline to `idle_time`. `count` grows as
/// bytes arrive at `to`. `from` has nothing buffered. An Error: one of the sides broke, or the
/// deadline ran out.
asio::awaitable<Result<void>> relay(Stream& from, Stream& to, std::chrono::milliseconds idle_time,
                                    std::uint64_t& count);

}  // namespace flow_runner
