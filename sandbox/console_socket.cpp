#include "sandbox/console_socket.hpp"

#include <array>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace flow_runner {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

Result<Descriptor> received_descriptor(int connection) {
  std::array<char, 4096> name;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
  iovec data{name.data(), name.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(connection, &message, MSG_CMSG_CLOEXEC) < 0)
    return errno_error("cannot receive the container's terminal");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int)))
    return Error{ErrorCode::internal, "the OCI runtime sent no terminal"};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return Descriptor(fd);
}

}  // namespace

ConsoleSocket::ConsoleSocket(asio::posix::stream_descriptor listener)
    : listener_(std::move(listener)), connection_(listener_.get_executor()) {}

Result<ConsoleSocket> ConsoleSocket::listen(const asio::any_io_executor& executor,
                                            const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path.string();
  if (name.size() >= sizeof address.sun_path)
    return Error{ErrorCode::invalid_input, name + " is too long for a socket's name"};
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno_error("cannot make a socket");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(name.c_str(), 0600) != 0 || ::listen(socket.get(), 1) != 0)
    return errno_error("cannot listen on " + name);
  return ConsoleSocket(asio::posix::stream_descriptor(executor, socket.release()));
}

asio::awaitable<Result<Descriptor>> ConsoleSocket::receive() {
  error_code error;
  co_await listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Error{ErrorCode::cancelled, "no terminal came"};
  const int connection =
      ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0) co_return errno_error("cannot receive the container's terminal");
  connection_.assign(connection);
  co_await connection_.async_wait(asio::posix::stream_descriptor::wait_read,
                                  asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Error{ErrorCode::cancelled, "no terminal came"};
  co_return received_descriptor(connection_.native_handle());
}

void ConsoleSocket::close() noexcept {
  error_code ignored;
  if (listener_.is_open()) listener_.close(ignored);
  if (connection_.is_open()) connection_.close(ignored);
}

}  // namespace flow_runner
