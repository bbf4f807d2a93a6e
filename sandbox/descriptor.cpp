#include "sandbox/descriptor.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flow_runner {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

void Descriptor::close() noexcept {
  // On Linux the descriptor is gone even when close() reports EINTR.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("cannot make a pipe");
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

Result<Descriptor> open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return errno_error("cannot open " + path.string());
  return Descriptor(fd);
}

Result<void> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("cannot write");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::string> read_all(int fd, std::size_t max_bytes, std::string_view name) {
  std::string data;
  char buffer[16384];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("cannot read " + std::string(name));
    if (n == 0) return data;
    if (data.size() + static_cast<std::size_t>(n) > max_bytes)
      return Error{ErrorCode::invalid_input,
                   std::string(name) + " is larger than " + std::to_string(max_bytes) + " bytes"};
    data.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  FR_TRY(const Descriptor file, open_file(path, O_RDONLY));
  return read_all(file.get(), max_bytes, path.string());
}

Result<void> replace_file(const std::filesystem::path& path, std::string_view data, unsigned mode) {
  std::string temporary = path.string() + ".XXXXXX";
  const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return errno_error("cannot create a file beside " + path.string());
  const auto fail = [&](Error error) {
    ::unlink(temporary.c_str());
    error.message = "cannot replace " + path.string() + ": " + error.message;
    return error;
  };
  if (auto written = write_all(file.get(), data); !written) return fail(written.error());
  if (::fchmod(file.get(), mode) != 0) return fail(errno_error("chmod"));
  if (::fsync(file.get()) != 0) return fail(errno_error("fsync"));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(errno_error("rename"));
  return {};
}

Result<Descriptor> memory_file(std::string_view name, std::string_view data) {
  Descriptor file(::memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return errno_error("cannot make a memory file");
  FR_CHECK(write_all(file.get(), data));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return errno_error("cannot rewind a memory file");
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
      0)
    return errno_error("cannot seal a memory file");
  return file;
}

}  // namespace flow_runner
