// provider_stand_in: answers the APIs of Anthropic, OpenAI and Gemini on loopback (127.0.0.2, which
// no job takes for its own), so that a real agent runs without a model. Prints its base URL as the
// first line; ends on TERM. Requests are recorded as lines of JSON.
//
//   provider_stand_in --file PATH --content TEXT [--command SHELL] [--text TEXT] [--record FILE]
//
// PROVIDER_KEY in the environment: other keys than this one are refused.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>

#include "tests/fakes/provider_api.hpp"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using nlohmann::json;

constexpr std::size_t max_body = 32U << 20;
constexpr std::size_t max_connections = 64;
constexpr std::size_t max_recorded_bytes = 64U << 20;
constexpr auto idle_limit = std::chrono::seconds(60);

struct Settings {
  flow_runner::fakes::ScriptedTurn turn;
  std::string record;
  std::string key;
};

class Provider {
 public:
  explicit Provider(Settings settings) : settings_(std::move(settings)) {
    if (!settings_.record.empty()) record_.open(settings_.record, std::ios::app);
  }

  http::response<http::string_body> answer(const http::request<http::string_body>& request) {
    auto response = routed(request);
    response.prepare_payload();
    record(request, response.result_int());
    return response;
  }

  std::size_t connections = 0;

 private:
  using Response = http::response<http::string_body>;

  static Response reply(const http::request<http::string_body>& request, http::status status,
                        std::string_view type, std::string body) {
    Response response{status, request.version()};
    response.set(http::field::content_type, {type.data(), type.size()});
    response.keep_alive(request.keep_alive());
    response.body() = std::move(body);
    return response;
  }

  static std::string path_of(const http::request<http::string_body>& request) {
    const std::string target(request.target());
    return target.substr(0, target.find('?'));
  }

  static std::string key_of(const http::request<http::string_body>& request) {
    std::string key(request["x-api-key"]);
    if (key.empty()) key = std::string(request["x-goog-api-key"]);
    const std::string bearer(request[http::field::authorization]);
    if (key.empty() && bearer.starts_with("Bearer ")) key = bearer.substr(7);
    return key;
  }

  Response routed(const http::request<http::string_body>& request) const {
    const auto path = path_of(request);
    if (request.method() == http::verb::head || path == "/")
      return reply(request, http::status::ok, "text/plain", "");
    const auto answer =
        flow_runner::fakes::answer_api({.method = std::string(request.method_string()),
                                        .path = path,
                                        .body = json::parse(request.body(), nullptr, false)},
                                       settings_.turn, key_of(request), settings_.key);
    return reply(request, http::int_to_status(answer.status), answer.type, answer.body);
  }

  void record(const http::request<http::string_body>& request, unsigned status) {
    if (!record_.is_open()) return;
    // The key's value is left out: a test looks for it in every file that a run leaves behind.
    const json entry{{"method", std::string(request.method_string())},
                     {"target", std::string(request.target())},
                     {"status", status},
                     {"has_key", !key_of(request).empty()},
                     {"user_agent", std::string(request[http::field::user_agent])},
                     {"body", request.body()}};
    const auto line = entry.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    if ((recorded_bytes_ += line.size()) > max_recorded_bytes) return;
    record_ << line << std::flush;
  }

  Settings settings_;
  std::ofstream record_;
  std::size_t recorded_bytes_ = 0;
};

asio::awaitable<void> serve(Provider& provider, tcp::socket socket) {
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  try {
    for (bool more = true; more;) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(max_body);
      stream.expires_after(idle_limit);
      co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
      auto response = provider.answer(parser.get());
      more = response.keep_alive();
      if (parser.get().method() == http::verb::head) {
        http::response_serializer<http::string_body> serializer(response);
        co_await http::async_write_header(stream, serializer, asio::use_awaitable);
      } else {
        co_await http::async_write(stream, response, asio::use_awaitable);
      }
    }
  } catch (const boost::system::system_error&) {
    // The client has gone, was silent for too long, or speaks no HTTP: the next one is served.
  }
  --provider.connections;
}

asio::awaitable<void> accept(Provider& provider, tcp::acceptor& acceptor) {
  for (;;) {
    auto socket = co_await acceptor.async_accept(asio::use_awaitable);
    if (provider.connections >= max_connections) continue;
    ++provider.connections;
    // Owned by the io_context, which destroys what is left when it ends.
    asio::co_spawn(acceptor.get_executor(), serve(provider, std::move(socket)),
                   [](std::exception_ptr) {});
  }
}

std::optional<Settings> parse(int argc, char** argv) {
  Settings settings;
  if (const char* key = std::getenv("PROVIDER_KEY")) settings.key = key;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) return std::nullopt;
    if (name == "--file")
      settings.turn.file_path = argv[i + 1];
    else if (name == "--content")
      settings.turn.content = argv[i + 1];
    else if (name == "--command")
      settings.turn.command = argv[i + 1];
    else if (name == "--text")
      settings.turn.closing_text = argv[i + 1];
    else if (name == "--record")
      settings.record = argv[i + 1];
    else
      return std::nullopt;
  }
  if (settings.turn.file_path.empty()) return std::nullopt;
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  auto settings = parse(argc, argv);
  if (!settings) {
    std::fprintf(stderr,
                 "usage: provider_stand_in --file PATH --content TEXT [--command SHELL] "
                 "[--text TEXT] [--record FILE]\n");
    return 64;
  }
  try {
    asio::io_context context(1);
    Provider provider(std::move(*settings));
    tcp::acceptor acceptor(context, {asio::ip::make_address_v4("127.0.0.2"), 0});
    asio::signal_set signals(context, SIGTERM, SIGINT);
    signals.async_wait([&](const boost::system::error_code&, int) { context.stop(); });
    asio::co_spawn(context, accept(provider, acceptor), [&](std::exception_ptr failure) {
      if (failure) context.stop();
    });
    std::printf("http://127.0.0.2:%u\n", static_cast<unsigned>(acceptor.local_endpoint().port()));
    std::fflush(stdout);
    context.run();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "provider_stand_in: %s\n", failure.what());
    return 1;
  }
  return 0;
}
