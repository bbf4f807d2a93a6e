// Resolver: getaddrinfo(3) on threads of its own, given up when a deadline runs out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/thread_pool.hpp>

#include "config/result.hpp"
#include "sandbox/proxy_deadline.hpp"

namespace flow_runner {

namespace asio = boost::asio;

/// A name that the name servers are slow about holds one thread, not the others' names. A call that
/// was given up goes on in its thread until libc gives up too.
class Resolver {
 public:
  explicit Resolver(std::size_t threads) : pool_(threads) {}

  /// In the order of getaddrinfo, without doubles, max_addresses at most. An address as `host` (it
  /// is canonical) is no question to anyone. unavailable, timed_out.
  asio::awaitable<Result<std::vector<asio::ip::address>>> resolve(std::string host,
                                                                  Deadline& deadline);

 private:
  static constexpr std::size_t max_addresses = 16;

  asio::thread_pool pool_;
};

}  // namespace flow_runner
