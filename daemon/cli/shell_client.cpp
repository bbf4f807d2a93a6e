#include "daemon/cli/shell_client.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "daemon/cli/console.hpp"
#include "executor/run_options.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;
using boost::system::error_code;

Result<void> check_shell_terminal() {
  if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1) return {};
  return Error{ErrorCode::invalid_input,
               "--shell and --shell-on-failure need a terminal as standard input and output: run "
               "this in one, or leave them out"};
}

std::string terminal_name() {
  const char* name = std::getenv("TERM");
  return name != nullptr && is_terminal_name(name) ? name : "xterm";
}

ShellClient::ShellClient(const asio::any_io_executor& executor, Descriptor socket,
                         std::function<void()> on_begin, std::function<void()> on_end)
    : socket_(executor, socket.release()),
      input_(executor),
      begun_(executor, asio::steady_timer::time_point::max()),
      window_(executor),
      on_begin_(std::move(on_begin)),
      on_end_(std::move(on_end)) {}

void ShellClient::watch_window() {
  window_.async_wait([this](const error_code& error, int) {
    if (error) return;
    resized_ = true;
    error_code ignored;
    if (input_.is_open()) input_.cancel(ignored);
    watch_window();
  });
}

void ShellClient::begin() {
  active_ = true;
  on_begin_();
  auto raw = RawTerminal::enter(STDIN_FILENO);
  if (raw) raw_.emplace(std::move(*raw));
  // Only waited on, never read without need: its flags, shared with the person's shell, stay.
  const int copy = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  if (copy >= 0) input_.assign(copy);
  window_.add(SIGWINCH);
  watch_window();
  begun_.expires_at(asio::steady_timer::time_point::min());
}

void ShellClient::end() {
  error_code ignored;
  window_.cancel(ignored);
  raw_.reset();
  if (std::exchange(active_, false)) {
    on_end_();
  }
  if (input_.is_open()) input_.close(ignored);
  if (socket_.is_open()) socket_.close(ignored);
  begun_.expires_at(asio::steady_timer::time_point::min());
}

asio::awaitable<bool> ShellClient::send(std::string frames) {
  error_code error;
  co_await asio::async_write(socket_, asio::buffer(frames),
                             asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

asio::awaitable<void> ShellClient::read_frames() {
  std::array<char, 65536> buffer;
  ShellFrameReader reader;
  bool ended = false;
  while (!ended) {
    error_code error;
    const std::size_t count = co_await socket_.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    reader.read({buffer.data(), count}, [&](ShellFrame kind, std::string_view content) {
      if (kind == ShellFrame::begin && !active_) begin();
      if (kind == ShellFrame::output) print(STDOUT_FILENO, content);
      ended = ended || kind == ShellFrame::end;
    });
  }
  end();
}

asio::awaitable<void> ShellClient::pump_input() {
  error_code error;
  co_await begun_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  std::array<char, 4096> buffer;
  while (socket_.is_open() && input_.is_open()) {
    if (std::exchange(resized_, false)) {
      const bool told = co_await send(window_frame(window_size(STDIN_FILENO)));
      if (!told) break;
      continue;
    }
    co_await input_.async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) continue;
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) break;
    std::string typed =
        shell_frames(ShellFrame::input, {buffer.data(), static_cast<std::size_t>(count)});
    const bool sent = co_await send(std::move(typed));
    if (!sent) break;
  }
  // A terminal that is gone is the end of the shell's too.
  if (socket_.is_open()) socket_.close(error);
}

asio::awaitable<void> ShellClient::run() {
  using namespace asio::experimental::awaitable_operators;
  co_await (read_frames() && pump_input());
}

}  // namespace flow_runner::cli
