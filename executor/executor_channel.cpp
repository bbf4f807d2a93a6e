#include "executor/executor_channel.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

namespace flow_runner {
namespace {

Result<void> read_exactly(int fd, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("cannot read the job");
    if (n == 0) return Error{ErrorCode::cancelled, "the client went away before it sent the job"};
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

Result<std::pair<Descriptor, Descriptor>> make_channel() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return errno_error("cannot make a socket pair");
  return std::pair{Descriptor(ends[0]), Descriptor(ends[1])};
}

Result<void> send_job(int fd, std::string_view json) {
  if (json.size() > max_job_bytes)
    return Error{ErrorCode::invalid_input,
                 "the job has more than " + std::to_string(max_job_bytes) + " bytes"};
  std::string header;
  for (unsigned shift = 0; shift < 32; shift += 8)
    header += static_cast<char>((json.size() >> shift) & 0xff);
  FR_CHECK(write_all(fd, header));
  return write_all(fd, json);
}

Result<std::string> receive_job(int fd) {
  std::array<char, 4> header{};
  FR_CHECK(read_exactly(fd, header.data(), header.size()));
  std::uint32_t size = 0;
  for (unsigned i = 0; i < 4; ++i)
    size |= static_cast<std::uint32_t>(static_cast<unsigned char>(header[i])) << (8 * i);
  if (size > max_job_bytes) return Error{ErrorCode::invalid_input, "the job is too large"};
  std::string json(size, '\0');
  FR_CHECK(read_exactly(fd, json.data(), json.size()));
  return json;
}

}  // namespace flow_runner
