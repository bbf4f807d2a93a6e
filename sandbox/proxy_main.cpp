// flow-runner-proxy: the way out of a job's network. Started by NetworkProxy only.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "sandbox/descriptor.hpp"
#include "sandbox/proxy_confinement.hpp"
#include "sandbox/proxy_protocol.hpp"
#include "sandbox/proxy_server.hpp"

namespace flow_runner {
namespace {

using asio::ip::tcp;

constexpr std::size_t resolver_threads = 8;
/// Of one tunnel: two sockets and two pipes.
constexpr rlim_t descriptors_per_connection = 6;
constexpr rlim_t own_descriptors = 64;

/// How many connections there are descriptors for, at most `wanted`.
std::size_t affordable_connections(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  const rlim_t needed = own_descriptors + wanted * descriptors_per_connection;
  limit.rlim_cur = std::min(limit.rlim_max, std::max(limit.rlim_cur, needed));
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  if (limit.rlim_cur <= own_descriptors) return 1;
  return std::min<std::size_t>(wanted,
                               (limit.rlim_cur - own_descriptors) / descriptors_per_connection);
}

Result<tcp::acceptor> adopt_listener(asio::io_context& loop) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(proxy_listener_number, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return errno_error("descriptor 3 is no socket");
  tcp::acceptor acceptor(loop);
  boost::system::error_code error;
  acceptor.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), proxy_listener_number,
                  error);
  if (error) return Error{ErrorCode::internal, "descriptor 3 is no listener: " + error.message()};
  return acceptor;
}

asio::awaitable<void> serve(ProxyServer& server, EventQueue& events) {
  co_await server.run();
  events.finish();
}

Result<void> run() {
  FR_TRY(const std::string text, read_all(STDIN_FILENO, max_settings_bytes, "standard input"));
  FR_TRY(const ProxySettings settings, parse_proxy_settings(text));
  FR_TRY(const UpstreamProxies upstreams,
         UpstreamProxies::from_environment(settings.upstream_environment));
  const std::size_t connections = affordable_connections(settings.limits.connections);
  FR_CHECK(confine_proxy(settings.uid, settings.gid));

  asio::io_context loop(1);
  EventQueue events(loop.get_executor(), STDOUT_FILENO);
  // Never destroyed: its threads may wait for name servers, and the end of a job does not.
  auto* resolver = new Resolver(resolver_threads);
  const ProxyContext context{settings, upstreams, *resolver, events};
  FR_TRY(tcp::acceptor acceptor, adopt_listener(loop));
  ProxyServer server(context, std::move(acceptor), connections);

  asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) server.stop();
  });
  const auto rethrow = [](const std::exception_ptr& escaped) {
    if (escaped) std::rethrow_exception(escaped);
  };
  asio::co_spawn(loop, serve(server, events), rethrow);
  asio::co_spawn(loop, events.run(), [&](const std::exception_ptr& escaped) {
    rethrow(escaped);
    // Whether all is written or nobody reads: there is no one to serve for.
    loop.stop();
  });
  loop.run();
  ::_exit(0);
}

}  // namespace
}  // namespace flow_runner

int main() {
  // splice(2) to a closed socket raises it.
  ::signal(SIGPIPE, SIG_IGN);
  try {
    const auto result = flow_runner::run();
    std::fprintf(stderr, "flow-runner-proxy: %s\n", result.error().message.c_str());
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "flow-runner-proxy: %s\n", exception.what());
  }
  ::_exit(1);
}
