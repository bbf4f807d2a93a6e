#include "executor/shell_relay.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace flow_runner {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds pause_time{50};
constexpr std::chrono::seconds drain_time{5};
constexpr std::string_view mask = "[MASKED]";

}  // namespace

InteractiveMasker::InteractiveMasker(std::shared_ptr<const MaskerPatterns> patterns)
    : masker_(std::move(patterns)) {}

std::string InteractiveMasker::write(std::string_view bytes) {
  std::string out;
  masker_.write(bytes, out);
  return out;
}

std::string InteractiveMasker::pause() {
  std::string held;
  masker_.flush(held);
  if (held.size() <= max_released || held.find(mask) != std::string::npos) return held;
  // Too much of a secret to be an accident: back with it.
  return write(held);
}

std::string InteractiveMasker::finish() {
  std::string out;
  masker_.flush(out);
  return out;
}

ShellRelay::ShellRelay(const asio::any_io_executor& executor, Descriptor socket,
                       std::shared_ptr<const MaskerPatterns> patterns)
    : socket_(executor, socket.release()),
      master_(executor),
      opened_(executor, asio::steady_timer::time_point::max()),
      pause_(executor),
      drain_(executor),
      masker_(std::move(patterns)) {}

void ShellRelay::open(Descriptor master) {
  ::fcntl(master.get(), F_SETFL, ::fcntl(master.get(), F_GETFL) | O_NONBLOCK);
  master_.assign(master.release());
  opened_.expires_at(asio::steady_timer::time_point::min());
}

void ShellRelay::stop() {
  error_code ignored;
  if (master_.is_open()) master_.close(ignored);
  // Also ends a wait that begins later.
  opened_.expires_at(asio::steady_timer::time_point::min());
  pause_.cancel();
}

void ShellRelay::hang_up() { stop(); }

void ShellRelay::finish() {
  if (!master_.is_open()) stop();
  if (!socket_.is_open()) return;
  drain_.expires_after(drain_time);
  drain_.async_wait([this](const error_code& error) {
    if (error) return;
    stop();
    // A terminal that takes nothing must not keep the job.
    error_code ignored;
    socket_.close(ignored);
  });
}

asio::awaitable<bool> ShellRelay::send(std::string frames) {
  error_code error;
  co_await asio::async_write(socket_, asio::buffer(frames),
                             asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

asio::awaitable<bool> ShellRelay::send_output(std::string bytes) {
  if (bytes.empty()) co_return true;
  co_return co_await send(shell_frames(ShellFrame::output, bytes));
}

asio::awaitable<void> ShellRelay::pump_out() {
  using namespace asio::experimental::awaitable_operators;
  std::array<char, 16384> buffer;
  bool fresh = false;  // something came since the last pause
  while (master_.is_open()) {
    pause_.expires_at(asio::steady_timer::time_point::max());
    if (fresh) pause_.expires_after(pause_time);
    error_code readable, paused;
    co_await (master_.async_wait(asio::posix::stream_descriptor::wait_read,
                                 asio::redirect_error(asio::use_awaitable, readable)) ||
              pause_.async_wait(asio::redirect_error(asio::use_awaitable, paused)));
    if (!master_.is_open()) break;
    const ssize_t count = ::read(master_.native_handle(), buffer.data(), buffer.size());
    const bool nothing = count < 0 && (errno == EAGAIN || errno == EINTR);
    // EIO: nobody has the terminal open any more.
    if (count <= 0 && !nothing) break;
    std::string out;
    if (nothing)
      out = masker_.pause();
    else
      out = masker_.write({buffer.data(), static_cast<std::size_t>(count)});
    fresh = !nothing;
    const bool sent = co_await send_output(std::move(out));
    if (!sent) break;
  }
  stop();
  co_await send_output(masker_.finish());
  co_await send(shell_frames(ShellFrame::end, {}));
  error_code ignored;
  if (socket_.is_open()) socket_.cancel(ignored);
}

asio::awaitable<void> ShellRelay::pump_in() {
  std::array<char, 16384> buffer;
  ShellFrameReader reader;
  while (master_.is_open()) {
    error_code error;
    const std::size_t count = co_await socket_.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    std::string typed;
    reader.read({buffer.data(), count}, [&](ShellFrame kind, std::string_view content) {
      if (kind == ShellFrame::input) typed += content;
      if (kind != ShellFrame::window || !master_.is_open()) return;
      const WindowSize size = window_from(content);
      const winsize window{
          .ws_row = size.rows, .ws_col = size.columns, .ws_xpixel = 0, .ws_ypixel = 0};
      ::ioctl(master_.native_handle(), TIOCSWINSZ, &window);
    });
    if (typed.empty() || !master_.is_open()) continue;
    co_await asio::async_write(master_, asio::buffer(typed),
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
  }
  // The person's side is gone, or the terminal is.
  stop();
}

asio::awaitable<void> ShellRelay::run() {
  using namespace asio::experimental::awaitable_operators;
  error_code ignored;
  if (!master_.is_open())
    co_await opened_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (master_.is_open()) {
    const bool begun = co_await send(shell_frames(ShellFrame::begin, {}));
    if (!begun) stop();
    co_await (pump_out() && pump_in());
  }
  drain_.cancel();
  if (socket_.is_open()) socket_.close(ignored);
}

}  // namespace flow_runner
