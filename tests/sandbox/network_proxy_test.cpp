// The proxy as a process: limits, rights, its end.
#include "sandbox/network_proxy.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <doctest/doctest.h>
#include <fstream>
#include <future>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "tests/sandbox/proxy_fixture.hpp"

using namespace flow_runner;
using namespace flow_runner::test;
using Kind = NetworkEvent::Kind;

namespace {

std::string get(const std::string& authority) {
  return "GET http://" + authority + "/ HTTP/1.1\r\nHost: " + authority + "\r\n\r\n";
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// One field of /proc/PID/status.
std::string status_of(int pid, const std::string& field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(field + ":\t")) return line.substr(field.size() + 2);
  return "?";
}

/// A network namespace of its own with `lo` up, on this thread; false: not allowed here.
bool enter_new_network() {
  if (::unshare(CLONE_NEWNET) != 0) return false;
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP;
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

}  // namespace

TEST_CASE("network proxy: before it serves, it has no rights, no other user and no way to exec") {
  const Server server(http([](const std::string&) { return ok("fine"); }));
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  client.send(get(server.authority()));
  CHECK(client.read_response().ends_with("fine"));
  const int pid = proxy.pid();
  for (const auto* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
    CHECK(status_of(pid, set) == "0000000000000000");
  CHECK(status_of(pid, "NoNewPrivs") == "1");
  CHECK(status_of(pid, "Seccomp") == "2");
  if (::geteuid() == 0) {
    CHECK(status_of(pid, "CapBnd") == "0000000000000000");
    CHECK(status_of(pid, "Uid") == "65534\t65534\t65534\t65534");
    CHECK(status_of(pid, "Gid") == "65534\t65534\t65534\t65534");
    CHECK(status_of(pid, "Groups") == " ");
  } else {
    MESSAGE("skipped: the proxy's change of user, for this is not root");
  }
}

TEST_CASE("network proxy: it listens in the job's network and connects from the host's") {
  const Server server(http([](const std::string&) { return ok("from the host"); }));
  Descriptor listener;
  bool allowed = false;
  std::promise<void> ready;
  std::promise<std::uint16_t> started;
  std::promise<std::string> answered;
  std::thread job([&] {
    allowed = enter_new_network();
    if (allowed) listener = listen_on_loopback();
    ready.set_value();
    const std::uint16_t port = started.get_future().get();
    if (!allowed) return;
    try {
      Peer client = Peer::connect(port);
      client.send(get(server.authority()));
      answered.set_value(client.read_response());
    } catch (...) {
      answered.set_exception(std::current_exception());
    }
  });
  ready.get_future().get();
  if (!allowed) {
    MESSAGE("skipped: this user may not make a network namespace");
    started.set_value(0);
    job.join();
    return;
  }
  ProxyFixture proxy({.allow = {server.authority()}, .listener = listener.get()});
  started.set_value(proxy.port());
  job.join();
  CHECK(answered.get_future().get().ends_with("from the host"));
  CHECK(proxy.event().address == server.authority());
}

TEST_CASE("network proxy: stop hands every event over, ends what runs, and may be called twice") {
  const Server server(http([](const std::string&) { return ok("fine"); }));
  ProxyFixture proxy({.allow = {server.authority()}});
  Peer client = proxy.connect();
  constexpr int requests = 200;
  for (int i = 0; i < requests; ++i) {
    client.send(get(server.authority()));
    client.read_response();
  }
  Peer tunnel = proxy.connect();
  tunnel.send("CONNECT " + server.authority() + " HTTP/1.1\r\nHost: " + server.authority() +
              "\r\n\r\n");
  tunnel.read_until("\r\n\r\n");
  CHECK(proxy.stop().has_value());
  CHECK(proxy.pending() == requests + 1);
  CHECK(tunnel.read_to_end().empty());
  CHECK(proxy.stop().has_value());
}

TEST_CASE("network proxy: one that died by itself is an error when it is stopped") {
  ProxyFixture proxy({.allow = {}});
  Peer client = proxy.connect();
  client.send(get("a.test"));
  CHECK(client.read_response().starts_with("HTTP/1.1 403 "));
  ::kill(proxy.pid(), SIGKILL);
  const auto stopped = proxy.stop();
  REQUIRE(stopped.has_error());
  CHECK(contains(stopped.error().message, "by itself by signal 9"));
  CHECK(proxy.stop().has_error());
}

TEST_CASE("network proxy: a stopped process is ended by force within the grace") {
  ProxyFixture proxy({.allow = {}});
  Peer client = proxy.connect();
  client.send(get("a.test"));
  client.read_response();
  ::kill(proxy.pid(), SIGSTOP);
  CHECK(proxy.stop(std::chrono::milliseconds(200)).has_value());
  CHECK(client.read_to_end().empty());
}

TEST_CASE("network proxy: a proxy of the host that it cannot use is refused at the start") {
  CHECK_THROWS_WITH_AS(ProxyFixture({.allow = {}, .upstream = {"https_proxy=socks5://a.test:1"}}),
                       doctest::Contains("https_proxy"), std::runtime_error);
}

TEST_CASE("network proxy: one connection too many gets 503, and the next its turn") {
  const Server server(http([](const std::string&) { return ok("fine"); }));
  ProxyLimits limits;
  limits.connections = 2;
  ProxyFixture proxy({.allow = {server.authority()}, .limits = limits});
  Peer first = proxy.connect();
  first.send(get(server.authority()));
  CHECK(first.read_response().ends_with("fine"));
  Peer second = proxy.connect();
  second.send(get(server.authority()));
  CHECK(second.read_response().ends_with("fine"));
  CHECK(proxy.event().kind == Kind::finished);
  CHECK(proxy.event().kind == Kind::finished);
  Peer third = proxy.connect();
  third.send(get(server.authority()));
  CHECK(third.read_to_end().starts_with("HTTP/1.1 503 "));
  const auto event = proxy.event();
  CHECK(event.kind == Kind::failed);
  CHECK(event.status == 503);
  third.close();
  first.send("GET http://" + server.authority() + "/ HTTP/1.1\r\nHost: " + server.authority() +
             "\r\nConnection: close\r\n\r\n");
  CHECK(first.read_to_end().ends_with("fine"));
  first.close();
  // The place is free once the proxy has seen the client's end; until then it is 503 again.
  std::string answer;
  while (!answer.ends_with("fine")) {
    Peer fourth = proxy.connect();
    fourth.send(get(server.authority()));
    fourth.shut_down_writing();
    answer = fourth.read_to_end();
    REQUIRE_FALSE(answer.empty());
  }
}

TEST_CASE("network proxy: a header that does not end has a deadline and a size") {
  ProxyLimits limits;
  limits.header_time = std::chrono::seconds(1);
  limits.header_bytes = 16U << 10;
  ProxyFixture proxy({.allow = {}, .limits = limits});
  Peer slow = proxy.connect();
  slow.send("GET http://a.test/ HTTP/1.1\r\nHost:");
  CHECK(slow.read_to_end().starts_with("HTTP/1.1 408 "));
  Peer large = proxy.connect();
  large.send("GET http://a.test/ HTTP/1.1\r\nX: " + std::string(16U << 10, 'x'));
  CHECK(large.read_to_end().starts_with("HTTP/1.1 431 "));
}

TEST_CASE("network proxy: a client that says nothing and a server that does not answer time out") {
  const Server server([](Peer peer) { peer.read_to_end(); });
  ProxyLimits limits;
  limits.idle_time = std::chrono::seconds(1);
  ProxyFixture proxy({.allow = {server.authority()}, .limits = limits});
  Peer silent = proxy.connect();
  CHECK(silent.read_to_end().empty());
  Peer client = proxy.connect();
  client.send(get(server.authority()));
  CHECK(client.read_response().starts_with("HTTP/1.1 504 "));
  CHECK(proxy.event().status == 504);
}

TEST_CASE("network proxy: a server that takes no connection is 504 in time") {
  // A full backlog: the kernel drops what comes on top, as a blackholed route would.
  const Descriptor full(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(full.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(full.get(), 0) == 0);
  const std::uint16_t port = port_of(full.get());
  const Peer waiting = Peer::connect(port);
  const std::string authority = "127.0.0.1:" + std::to_string(port);
  ProxyLimits limits;
  limits.connect_time = std::chrono::seconds(1);
  ProxyFixture proxy({.allow = {authority}, .limits = limits});
  Peer client = proxy.connect();
  client.send(get(authority));
  CHECK(client.read_response().starts_with("HTTP/1.1 504 "));
  const auto event = proxy.event();
  CHECK(event.kind == Kind::failed);
  CHECK(contains(event.reason, "in time"));
}
