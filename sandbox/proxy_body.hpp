// copy_body: a message body from one connection to another, never more than a buffer of it at once.
#pragma once

#include <cstdint>

#include <boost/asio/awaitable.hpp>

#include "sandbox/proxy_http.hpp"
#include "sandbox/proxy_stream.hpp"

namespace flow_runner {

/// How chunked data is written: as chunks of our own, or bare to a client of HTTP/1.0.
enum class ChunkedAs { chunks, bare };

enum class BodyEnd {
  complete,
  malformed,       ///< chunks that are none
  sender_broke,    ///< it ended before its end
  receiver_broke,  ///< it takes no more
  timed_out,
};

/// Ends where the body ends; each piece sets the deadline to `idle_time`. `count` grows by the
/// bytes of content.
asio::awaitable<BodyEnd> copy_body(Stream& from, Stream& to, HttpBody body, ChunkedAs chunked_as,
                                   std::chrono::milliseconds idle_time, std::uint64_t& count);

}  // namespace flow_runner
