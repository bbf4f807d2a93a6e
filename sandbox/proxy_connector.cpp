#include "sandbox/proxy_connector.hpp"

#include <utility>
#include <vector>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sandbox/proxy_http.hpp"

namespace flow_runner {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using Addresses = std::vector<asio::ip::address>;

/// For one address while there are others: a blackholed IPv6 route must not use up all the time.
constexpr std::chrono::seconds attempt_time{5};

void deny(NetworkEvent& event, const NetworkVerdict& verdict) {
  event.kind = NetworkEvent::Kind::denied;
  event.status = 403;
  event.reason = verdict.reason;
  event.cure = verdict.cure;
}

void fail(NetworkEvent& event, const Error& error) {
  event.kind = NetworkEvent::Kind::failed;
  event.status = error.code == ErrorCode::timed_out ? 504 : 502;
  event.reason = error.message;
}

asio::awaitable<Result<tcp::socket>> connect_one(const tcp::endpoint& to, Deadline& deadline,
                                                 bool last) {
  tcp::socket socket(co_await asio::this_coro::executor);
  const auto cancel = [&] {
    error_code ignored;
    socket.cancel(ignored);
  };
  Deadline attempt(socket.get_executor());
  if (!last) attempt.set(attempt_time);
  const Deadline::Watch of_attempt(attempt, cancel);
  const Deadline::Watch of_all(deadline, cancel);
  error_code error;
  if (!deadline.expired())
    co_await socket.async_connect(to, asio::redirect_error(asio::use_awaitable, error));
  if (deadline.expired() || attempt.expired())
    co_return Error{
        ErrorCode::timed_out,
        "no connection to " + authority(to.address().to_string(), to.port()) + " in time"};
  if (error)
    co_return Error{ErrorCode::unavailable, "cannot connect to " +
                                                authority(to.address().to_string(), to.port()) +
                                                ": " + error.message()};
  co_return std::move(socket);
}

asio::awaitable<Result<tcp::socket>> connect_any(const Addresses& addresses, std::uint16_t port,
                                                 Deadline& deadline) {
  Result<tcp::socket> result = Error{ErrorCode::unavailable, "there is no address to connect to"};
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const tcp::endpoint endpoint(addresses[i], port);
    result = co_await connect_one(endpoint, deadline, i + 1 == addresses.size());
    if (result || deadline.expired()) break;
  }
  co_return result;
}

/// The addresses that may be connected to; none: `verdict` says why.
Addresses permitted(const NetworkPolicy& policy, const NetworkRule& by, const Addresses& resolved,
                    std::uint16_t port, NetworkVerdict& verdict) {
  Addresses addresses;
  for (const auto& address : resolved) {
    auto decision = decide_address(policy, by, address, port);
    if (decision.allowed)
      addresses.push_back(address);
    else if (verdict.reason.empty())
      verdict = std::move(decision);
  }
  return addresses;
}

}  // namespace

asio::awaitable<Connected> connect(const ProxyContext& context, Route route, Deadline& deadline,
                                   NetworkEvent& event) {
  Connected connected;
  const NetworkPolicy& policy = context.settings.policy;
  const auto by_name = decide(policy, event.host, event.port);
  if (!by_name.allowed) {
    deny(event, by_name);
    co_return connected;
  }
  deadline.set(context.settings.limits.connect_time);
  connected.upstream = route == Route::tunnel ? context.upstreams.for_tunnel(event.host, event.port)
                                              : context.upstreams.for_plain(event.host, event.port);
  const UpstreamProxy* upstream = connected.upstream;
  const std::string name = upstream ? upstream->host : event.host;
  auto resolved = co_await context.resolver.resolve(name, deadline);
  if (!resolved) {
    fail(event, resolved.error());
    co_return connected;
  }
  const std::uint16_t port = upstream ? upstream->port : event.port;
  Addresses addresses = std::move(*resolved);
  if (!upstream) {
    NetworkVerdict verdict;
    addresses = permitted(policy, *by_name.rule, addresses, port, verdict);
    if (addresses.empty()) {
      deny(event, verdict);
      co_return connected;
    }
  }
  auto socket = co_await connect_any(addresses, port, deadline);
  if (!socket) {
    fail(event, socket.error());
    co_return connected;
  }
  error_code error;
  const auto peer = socket->remote_endpoint(error);
  event.address = upstream ? "via " + authority(upstream->host, upstream->port)
                           : authority(peer.address().to_string(), peer.port());
  connected.socket = std::move(*socket);
  co_return connected;
}

std::string explanation(const NetworkEvent& event) {
  const std::string target = authority(event.host, event.port);
  if (event.kind != NetworkEvent::Kind::denied)
    return "flow-runner: " + target + " cannot be reached: " + event.reason + "\n";
  std::string text = "flow-runner: " + target + " is not allowed: " + event.reason + "\n";
  if (event.cure.empty()) return text;
  return text + "To allow it, add '" + event.cure + "' to the setting network.allow, or run with " +
         "--network-allow " + event.cure + "\n";
}

}  // namespace flow_runner
