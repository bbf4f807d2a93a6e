#include "sandbox/proxy_exchange.hpp"

#include <optional>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "sandbox/proxy_body.hpp"

namespace flow_runner {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int max_interim_responses = 16;

class Exchange {
 public:
  Exchange(const ProxyContext& context, Stream& client, const HttpRequest& request,
           KeptServer& kept)
      : context_(context), client_(client), request_(request), kept_(kept) {
    event_.method = request.method;
    event_.host = request.host;
    event_.port = request.port;
  }

  asio::awaitable<bool> run() {
    const auto start = Clock::now();
    const bool go_on = co_await serve();
    event_.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
    context_.events.push(event_);
    co_return go_on;
  }

 private:
  [[nodiscard]] std::chrono::milliseconds idle_time() const {
    return context_.settings.limits.idle_time;
  }

  asio::awaitable<bool> serve() {
    const bool reused = take_kept();
    if (!reused && !co_await connect_new()) co_return co_await refuse();
    auto answered = co_await attempt();
    if (!answered && reused && may_repeat()) {
      // The server closed the kept connection just when it was used again.
      if (!co_await connect_new()) co_return co_await refuse();
      answered = co_await attempt();
    }
    if (answered) co_return co_await finish();
    kept_.stream.reset();
    co_return co_await fail(answered.error());
  }

  /// Whether the connection of the request before can be used.
  bool take_kept() {
    if (!kept_.stream) return false;
    if (kept_.host != request_.host || kept_.port != request_.port || !kept_.stream->is_quiet()) {
      kept_.stream.reset();
      return false;
    }
    event_.address = kept_.address;
    return true;
  }

  asio::awaitable<bool> connect_new() {
    kept_.stream.reset();
    auto connected = co_await connect(context_, Route::plain, client_.deadline(), event_);
    if (!connected.socket) co_return false;
    kept_.stream = std::make_unique<Stream>(std::move(*connected.socket), client_.deadline());
    kept_.host = request_.host;
    kept_.port = request_.port;
    kept_.address = event_.address;
    kept_.upstream = connected.upstream;
    co_return true;
  }

  asio::awaitable<Result<void>> attempt() {
    using namespace asio::experimental::awaitable_operators;
    Stream& server = *kept_.stream;
    client_.deadline().set(idle_time());
    const auto head = kept_.upstream
                          ? serialize(request_, TargetForm::absolute, kept_.upstream->authorization)
                          : serialize(request_, TargetForm::origin, {});
    FR_CO_CHECK(co_await server.write(head));
    if (request_.body.kind == HttpBody::Kind::none) {
      sent_ = BodyEnd::complete;
      co_return co_await receive(server);
    }
    co_return co_await (send_body(server) && receive(server));
  }

  asio::awaitable<void> send_body(Stream& server) {
    sent_ = co_await copy_body(client_, server, request_.body, ChunkedAs::chunks, idle_time(),
                               event_.bytes_up);
    // A server that takes no more may have answered why.
    if (*sent_ != BodyEnd::complete && *sent_ != BodyEnd::receiver_broke) server.abort();
  }

  asio::awaitable<Result<HttpResponse>> read_header(Stream& server) {
    std::size_t end = 0;
    while ((end = header_end(server.buffered())) == 0) {
      FR_CO_TRY(const std::size_t read,
                co_await server.fill(context_.settings.limits.header_bytes));
      if (read == 0)
        co_return Error{ErrorCode::unavailable, "the server closed the connection unanswered"};
      heard_ = true;
    }
    FR_CO_TRY(HttpResponse response,
              parse_response(server.buffered().substr(0, end), request_.method));
    server.consume(end);
    co_return response;
  }

  asio::awaitable<Result<void>> receive(Stream& server) {
    const auto result = co_await pass_response(server);
    // An answer that does not wait for the request's body ends it.
    if (!sent_) {
      client_.stop_reading();
      server.abort();
    }
    co_return result;
  }

  asio::awaitable<Result<void>> pass_response(Stream& server) {
    HttpResponse response;
    for (int interim = 0;; ++interim) {
      FR_CO_TRY(response, co_await read_header(server));
      if (response.status >= 200) break;
      if (response.status == 101 || interim == max_interim_responses)
        co_return Error{ErrorCode::invalid_input, "an interim answer that was not asked for"};
      if (!request_.http_1_0)
        FR_CO_CHECK(co_await client_.write(serialize(response, Persistence::keep, false)));
    }
    const bool to_the_end = response.body.kind == HttpBody::Kind::until_close ||
                            (response.body.kind == HttpBody::Kind::chunked && request_.http_1_0);
    keep_client_ = request_.keep_alive && !to_the_end && sent_ == BodyEnd::complete;
    keep_server_ = response.keep_alive && response.body.kind != HttpBody::Kind::until_close;
    event_.status = response.status;
    client_.deadline().set(idle_time());
    FR_CO_CHECK(co_await client_.write(serialize(
        response, keep_client_ ? Persistence::keep : Persistence::close, request_.http_1_0)));
    const auto as = request_.http_1_0 ? ChunkedAs::bare : ChunkedAs::chunks;
    received_ =
        co_await copy_body(server, client_, response.body, as, idle_time(), event_.bytes_down);
    co_return Result<void>();
  }

  /// Whether nothing of the exchange can have had an effect.
  [[nodiscard]] bool may_repeat() const {
    const bool safe =
        request_.method == "GET" || request_.method == "HEAD" || request_.method == "OPTIONS";
    return safe && !heard_ && request_.body.kind == HttpBody::Kind::none &&
           !client_.deadline().expired();
  }

  /// After a whole answer, or what came of it.
  asio::awaitable<bool> finish() {
    event_.kind = NetworkEvent::Kind::finished;
    if (received_ != BodyEnd::complete) {
      event_.reason = received_ == BodyEnd::receiver_broke ? "the job closed the connection"
                      : received_ == BodyEnd::timed_out    ? "the answer stopped for too long"
                                                           : "the answer was cut off";
      kept_.stream.reset();
      // Without a last word: whoever reads must see that something is missing.
      co_return false;
    }
    if (!keep_server_ || sent_ != BodyEnd::complete) kept_.stream.reset();
    if (keep_client_) co_return true;
    co_await client_.linger();
    co_return false;
  }

  asio::awaitable<bool> fail(const Error& error) {
    event_.kind = NetworkEvent::Kind::failed;
    event_.reason = error.message;
    const bool answer_began = event_.status != 0;
    if (answer_began || sent_ == BodyEnd::sender_broke) co_return false;
    event_.status = error.code == ErrorCode::timed_out ? 504 : 502;
    if (error.code == ErrorCode::invalid_input) event_.reason = "its answer is no HTTP/1.1";
    if (sent_ == BodyEnd::malformed) {
      event_.status = 400;
      event_.reason = "the request's body is malformed";
    }
    if (sent_ == BodyEnd::timed_out) event_.status = 504;
    co_return co_await refuse();
  }

  asio::awaitable<bool> refuse() {
    client_.deadline().set(context_.settings.limits.header_time);
    // A body that nobody takes would have to be read over.
    const bool go_on = request_.keep_alive && request_.body.kind == HttpBody::Kind::none;
    const auto answer = text_response(event_.status, explanation(event_),
                                      go_on ? Persistence::keep : Persistence::close);
    const bool answered = (co_await client_.write(answer)).has_value();
    if (answered && !go_on) co_await client_.linger();
    co_return answered&& go_on;
  }

  const ProxyContext& context_;
  Stream& client_;
  const HttpRequest& request_;
  KeptServer& kept_;
  NetworkEvent event_;
  std::optional<BodyEnd> sent_;  ///< how the request's body ended; absent: not yet
  std::optional<BodyEnd> received_;
  bool heard_ = false;
  bool keep_client_ = false;
  bool keep_server_ = false;
};

}  // namespace

asio::awaitable<bool> serve_exchange(const ProxyContext& context, Stream& client,
                                     const HttpRequest& request, KeptServer& kept) {
  Exchange exchange(context, client, request, kept);
  co_return co_await exchange.run();
}

}  // namespace flow_runner
