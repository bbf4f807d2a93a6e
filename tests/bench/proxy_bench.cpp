// How fast the network proxy is: one stream through a tunnel against loopback itself, requests of
// 50 connections, and what it holds while a GiB passes.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/measure.hpp"
#include "tests/sandbox/proxy_fixture.hpp"

namespace {

using namespace flow_runner;
using Clock = std::chrono::steady_clock;

constexpr std::size_t stream_bytes = 1U << 30;
constexpr int rounds = 5;
constexpr int connections = 50;
constexpr int requests_per_connection = 400;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Sends stream_bytes after a line.
void pour(test::Peer peer) {
  peer.read_until("\n");
  const std::string piece(256U << 10, 'x');
  for (std::size_t sent = 0; sent < stream_bytes; sent += piece.size()) peer.send(piece);
}

/// GB/s of one stream on a connection that is ready for it.
double stream_speed(test::Peer& client) {
  const auto start = Clock::now();
  client.send("go\n");
  if (client.count_to_end() != stream_bytes) throw std::runtime_error("the stream is not whole");
  return static_cast<double>(stream_bytes) / 1e9 / seconds_since(start);
}

test::Peer tunnel(const test::ProxyFixture& proxy, const std::string& authority) {
  test::Peer client = proxy.connect();
  client.send("CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n");
  if (!client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 "))
    throw std::runtime_error("no tunnel");
  return client;
}

/// Requests per second of all connections together. `port` is where to connect to.
double request_rate(std::uint16_t port, const std::string& request) {
  std::vector<std::thread> clients;
  std::atomic<int> failures = 0;
  const auto start = Clock::now();
  for (int i = 0; i < connections; ++i) {
    clients.emplace_back([&] {
      try {
        test::Peer client = test::Peer::connect(port);
        for (int sent = 0; sent < requests_per_connection; ++sent) {
          client.send(request);
          if (!client.read_response().starts_with("HTTP/1.1 200 ")) ++failures;
        }
      } catch (const std::exception&) {
        ++failures;
      }
    });
  }
  for (auto& client : clients) client.join();
  if (failures > 0) throw std::runtime_error("a request was not answered");
  return connections * requests_per_connection / seconds_since(start);
}

std::string gigabytes(double speed) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GB/s", speed);
  return text;
}

std::string per_second(double rate) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f/s", rate);
  return text;
}

std::string mebibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", bytes / (1U << 20));
  return text;
}

int benchmark() {
  const test::Server source(pour);
  const test::Server web(test::http([](const std::string&) { return test::ok("hello\n"); }));
  const test::ProxyFixture proxy({.allow = {source.authority(), web.authority()}});

  bench::Samples direct;
  bench::Samples through;
  double most_growth = 0;
  for (int round = 0; round < rounds; ++round) {
    test::Peer straight = test::Peer::connect(source.port());
    direct.add(stream_speed(straight));
    test::Peer client = tunnel(proxy, source.authority());
    const auto before = static_cast<double>(proxy.resident_bytes());
    through.add(stream_speed(client));
    most_growth = std::max(most_growth, static_cast<double>(proxy.resident_bytes()) - before);
  }
  const std::string host = web.authority();
  const double direct_rate =
      request_rate(web.port(), "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  bench::Samples rates;
  for (int round = 0; round < rounds; ++round)
    rates.add(request_rate(proxy.port(),
                           "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n"));

  std::printf("One GiB on one stream, medians of %d; %d connections with %d requests each\n\n",
              rounds, connections, requests_per_connection);
  bench::Table table({"", "direct", "through the proxy", "ratio"});
  table.row({"one stream", gigabytes(direct.median()), gigabytes(through.median()),
             bench::times(through.median() / direct.median())});
  table.row({"plain requests", per_second(direct_rate), per_second(rates.median()),
             bench::times(rates.median() / direct_rate)});
  table.row({"resident memory, growth", "", mebibytes(most_growth), ""});
  table.print();

  bench::Bounds bounds;
  bounds.at_least("one stream, of loopback", through.median() / direct.median(), 0.5, 0.7,
                  bench::times);
  bounds.at_least("plain requests", rates.median(), 1000, 2000, per_second);
  bounds.at_most("growth while a GiB passes", most_growth, 16U << 20, 4U << 20, mebibytes);
  return bounds.exit_code();
}

}  // namespace

int main() { return bench::run_benchmark(benchmark); }
