#include "sandbox/proxy_stream.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace flow_runner {
namespace {

using boost::system::error_code;

constexpr std::size_t first_buffer_bytes = 8U << 10;
constexpr std::chrono::seconds linger_time{2};
constexpr std::size_t linger_bytes = 256U << 10;

}  // namespace

Stream::Stream(asio::ip::tcp::socket socket, Deadline& deadline)
    : socket_(std::move(socket)), deadline_(deadline), watch_(deadline, [this] {
        error_code ignored;
        socket_.cancel(ignored);
      }) {
  error_code ignored;  // an option that is not there costs speed only
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

std::string_view Stream::buffered() const { return {buffer_.data() + begin_, end_ - begin_}; }

void Stream::consume(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

Result<void> Stream::usable() const {
  if (aborted_) return Error{ErrorCode::cancelled, "the connection was given up"};
  if (deadline_.expired()) return Error{ErrorCode::timed_out, "the connection timed out"};
  return {};
}

Error Stream::failure(const error_code& error) const {
  if (auto use = usable(); !use) return use.error();
  return {ErrorCode::unavailable, error.message()};
}

asio::awaitable<Result<std::size_t>> Stream::fill(std::size_t max_bytes) {
  FR_CO_CHECK(usable());
  if (reading_stopped_) co_return Error{ErrorCode::cancelled, "reading was stopped"};
  if (end_ == buffer_.size()) {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    } else if (buffer_.size() < max_bytes) {
      buffer_.resize(std::min(std::max(buffer_.size() * 2, first_buffer_bytes), max_bytes));
    } else {
      co_return Error{ErrorCode::invalid_input, "too many bytes"};
    }
  }
  error_code error;
  const std::size_t read =
      co_await socket_.async_read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_),
                                       asio::redirect_error(asio::use_awaitable, error));
  if (error == asio::error::eof) co_return std::size_t{0};
  if (error) co_return failure(error);
  end_ += read;
  // A side that fills the buffer has more to say.
  if (begin_ == 0 && end_ == buffer_.size() && buffer_.size() < max_bytes)
    buffer_.resize(std::min(buffer_.size() * 2, max_bytes));
  co_return read;
}

asio::awaitable<Result<void>> Stream::write(std::string_view data) {
  FR_CO_CHECK(usable());
  error_code error;
  co_await asio::async_write(socket_, asio::buffer(data.data(), data.size()),
                             asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return failure(error);
  co_return Result<void>();
}

asio::awaitable<Result<void>> Stream::write(std::string_view head, std::string_view data,
                                            std::string_view tail) {
  FR_CO_CHECK(usable());
  const std::array<asio::const_buffer, 3> parts = {asio::buffer(head.data(), head.size()),
                                                   asio::buffer(data.data(), data.size()),
                                                   asio::buffer(tail.data(), tail.size())};
  error_code error;
  co_await asio::async_write(socket_, parts, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return failure(error);
  co_return Result<void>();
}

void Stream::abort() {
  aborted_ = true;
  error_code ignored;
  socket_.cancel(ignored);
}

void Stream::stop_reading() {
  reading_stopped_ = true;
  error_code ignored;
  socket_.cancel(ignored);
}

void Stream::close() {
  aborted_ = true;
  error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<void> Stream::linger() {
  reading_stopped_ = false;
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  deadline_.set(linger_time);
  for (std::size_t total = 0; total < linger_bytes;) {
    begin_ = end_ = 0;
    const auto read = co_await fill(std::max(buffer_.size(), first_buffer_bytes));
    if (!read || *read == 0) break;
    total += *read;
  }
  close();
}

bool Stream::is_quiet() {
  char byte = 0;
  const ssize_t n =
      ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);  // NOLINT: one byte
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && buffered().empty();
}

}  // namespace flow_runner
