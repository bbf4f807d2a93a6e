#include "sandbox/proxy_resolver.hpp"

#include <algorithm>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace flow_runner {
namespace {

using Addresses = std::vector<asio::ip::address>;

Result<Addresses> look_up(const std::string& host, std::size_t max_addresses) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (code != 0)
    return Error{ErrorCode::unavailable,
                 "the name " + host + " cannot be resolved: " + ::gai_strerror(code)};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = list; entry != nullptr && addresses.size() < max_addresses;
       entry = entry->ai_next) {
    asio::ip::address address;
    if (entry->ai_family == AF_INET) {
      sockaddr_in socket_address{};
      std::memcpy(&socket_address, entry->ai_addr, sizeof socket_address);
      address = asio::ip::address_v4(ntohl(socket_address.sin_addr.s_addr));
    } else if (entry->ai_family == AF_INET6) {
      sockaddr_in6 socket_address{};
      std::memcpy(&socket_address, entry->ai_addr, sizeof socket_address);
      asio::ip::address_v6::bytes_type bytes;
      std::memcpy(bytes.data(), &socket_address.sin6_addr, bytes.size());
      address = asio::ip::address_v6(bytes, socket_address.sin6_scope_id);
    } else {
      continue;
    }
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      addresses.push_back(address);
  }
  if (addresses.empty())
    return Error{ErrorCode::unavailable, "the name " + host + " has no address"};
  return addresses;
}

/// Shared with the thread, which may be the last to let go of it.
struct Question {
  explicit Question(const asio::any_io_executor& executor)
      : answered(executor, asio::steady_timer::time_point::max()) {}
  asio::steady_timer answered;
  Result<Addresses> answer = Error{ErrorCode::timed_out, "the name was not resolved in time"};
  bool done = false;
};

}  // namespace

asio::awaitable<Result<Addresses>> Resolver::resolve(std::string host, Deadline& deadline) {
  boost::system::error_code error;
  const auto literal = asio::ip::make_address(host, error);
  if (!error) co_return Addresses{literal};
  const auto executor = co_await asio::this_coro::executor;
  const auto question = std::make_shared<Question>(executor);
  asio::post(pool_, [question, host, executor]() mutable {
    auto answer = look_up(host, max_addresses);
    // The timer must end on the loop's thread: this one keeps no share.
    asio::post(executor, [question = std::move(question), answer = std::move(answer)]() mutable {
      question->answer = std::move(answer);
      question->done = true;
      question->answered.cancel();
    });
  });
  const Deadline::Watch watch(deadline, [&] { question->answered.cancel(); });
  // An answer is never there before the first wait: it comes through this thread's queue.
  if (!deadline.expired())
    co_await question->answered.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (question->done) co_return std::move(question->answer);
  co_return Error{ErrorCode::timed_out, "the name " + host + " was not resolved in time"};
}

}  // namespace flow_runner
