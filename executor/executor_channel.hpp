// The socket between an executor and its client: how the job goes in, and progress comes out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// Client to executor: a 4-byte little-endian length and the job's JSON, then single bytes:
enum class ChannelRequest : char { cancel = 'C', kill = 'K' };
/// Executor to client: lines of JSON (progress). The client's end closed means that it died.

/// Numbers of the descriptors that an executor is started with.
inline constexpr int channel_fd = 3;
inline constexpr int lock_fd = 4;

/// A context of 128 KiB in a job with many variables stays far below.
inline constexpr std::uint32_t max_job_bytes = 64U << 20;

/// A connected pair; close-on-exec.
Result<std::pair<Descriptor, Descriptor>> make_channel();
Result<void> send_job(int fd, std::string_view json);
/// Blocks until the whole job is there; a closed or garbled channel is an error.
Result<std::string> receive_job(int fd);

}  // namespace flow_runner
