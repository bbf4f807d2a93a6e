// Descriptor: an owned file descriptor, and reads and writes that survive EINTR and short counts.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "config/result.hpp"

namespace flow_runner {

/// Owns one descriptor; closes it when destroyed. All descriptors made here are close-on-exec.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void close() noexcept;

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read;
  Descriptor write;
};

/// A close-on-exec pipe.
Result<Pipe> make_pipe();

/// open(2) with O_CLOEXEC added; the error names the path.
Result<Descriptor> open_file(const std::filesystem::path& path, int flags, unsigned mode = 0600);

/// Writes everything.
Result<void> write_all(int fd, std::string_view data);

/// Reads the whole file; more than max_bytes is an error that names path and limit.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes);
/// The same from a descriptor, to its end; `name` is for messages.
Result<std::string> read_all(int fd, std::size_t max_bytes, std::string_view name);

/// Replaces `path` in one step (temporary file beside it, fsync, rename), with the given mode.
Result<void> replace_file(const std::filesystem::path& path, std::string_view data, unsigned mode);

/// A sealed memfd holding `data`, positioned at the start: how bytes reach a child without disk or
/// argv.
Result<Descriptor> memory_file(std::string_view name, std::string_view data);

}  // namespace flow_runner
