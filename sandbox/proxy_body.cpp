#include "sandbox/proxy_body.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "sandbox/proxy_chunks.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t buffer_bytes = 64U << 10;

class BodyCopy {
 public:
  BodyCopy(Stream& from, Stream& to, std::chrono::milliseconds idle_time, std::uint64_t& count)
      : from_(from), to_(to), idle_time_(idle_time), count_(count) {}

  asio::awaitable<Result<void>> plain(HttpBody body) {
    const bool to_the_end = body.kind == HttpBody::Kind::until_close;
    std::uint64_t left = body.length;
    while (to_the_end || left > 0) {
      FR_CO_TRY(const bool some, co_await more());
      if (!some && to_the_end) break;
      if (!some) co_return cut_off();
      std::string_view data = from_.buffered();
      if (!to_the_end) {
        data = data.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left, data.size())));
        left -= data.size();
      }
      FR_CO_CHECK(given(co_await to_.write(data)));
      count_ += data.size();
      from_.consume(data.size());
    }
    co_return Result<void>();
  }

  asio::awaitable<Result<void>> chunked(ChunkedAs as) {
    ChunkDecoder decoder;
    while (!decoder.done()) {
      FR_CO_TRY(const bool some, co_await more());
      if (!some) co_return cut_off();
      FR_CO_TRY(const auto step, decoder.feed(from_.buffered()));
      if (!step.data.empty()) {
        FR_CO_CHECK(given(co_await write_chunk(step.data, as)));
        count_ += step.data.size();
      }
      from_.consume(step.consumed);
    }
    if (as == ChunkedAs::chunks) FR_CO_CHECK(given(co_await to_.write("0\r\n\r\n")));
    co_return Result<void>();
  }

  [[nodiscard]] BodyEnd end_of(const Result<void>& result) const {
    if (result) return BodyEnd::complete;
    if (result.error().code == ErrorCode::timed_out) return BodyEnd::timed_out;
    if (receiver_broke_) return BodyEnd::receiver_broke;
    if (result.error().code == ErrorCode::invalid_input) return BodyEnd::malformed;
    return BodyEnd::sender_broke;
  }

 private:
  static Error cut_off() { return {ErrorCode::unavailable, "the body ended early"}; }

  Result<void> given(Result<void> written) {
    receiver_broke_ = !written;
    return written;
  }

  /// Makes sure that something is buffered; false: the end.
  asio::awaitable<Result<bool>> more() {
    if (!from_.buffered().empty()) co_return true;
    FR_CO_TRY(const std::size_t read, co_await from_.fill(buffer_bytes));
    from_.deadline().set(idle_time_);
    co_return read > 0;
  }

  asio::awaitable<Result<void>> write_chunk(std::string_view data, ChunkedAs as) {
    if (as == ChunkedAs::bare) co_return co_await to_.write(data);
    std::array<char, 24> head{};
    char* end = std::to_chars(head.data(), head.data() + 16, data.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    const std::string_view size_line(head.data(), static_cast<std::size_t>(end - head.data()));
    co_return co_await to_.write(size_line, data, "\r\n");
  }

  Stream& from_;
  Stream& to_;
  std::chrono::milliseconds idle_time_;
  std::uint64_t& count_;
  bool receiver_broke_ = false;
};

}  // namespace

asio::awaitable<BodyEnd> copy_body(Stream& from, Stream& to, HttpBody body, ChunkedAs chunked_as,
                                   std::chrono::milliseconds idle_time, std::uint64_t& count) {
  if (body.kind == HttpBody::Kind::none) co_return BodyEnd::complete;
  BodyCopy copy(from, to, idle_time, count);
  if (body.kind == HttpBody::Kind::chunked) {
    const Result<void> result = co_await copy.chunked(chunked_as);
    co_return copy.end_of(result);
  }
  const Result<void> result = co_await copy.plain(body);
  co_return copy.end_of(result);
}

}  // namespace flow_runner
