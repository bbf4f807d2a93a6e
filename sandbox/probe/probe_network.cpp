// Probes of the network: every way to reach somebody who was not named.
#include <arpa/inet.h>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sandbox/probe/probe_facts.hpp"
#include "sandbox/probe/probe_outcome.hpp"

namespace flow_runner::probe {
namespace {

constexpr int answer_ms = 500;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool fill(Address& target, int family, const char* text, long long port) {
  if (family == AF_INET6) {
    auto* address = reinterpret_cast<sockaddr_in6*>(&target.storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(static_cast<std::uint16_t>(port));
    target.size = sizeof *address;
    return ::inet_pton(AF_INET6, text, &address->sin6_addr) == 1;
  }
  auto* address = reinterpret_cast<sockaddr_in*>(&target.storage);
  address->sin_family = AF_INET;
  address->sin_port = htons(static_cast<std::uint16_t>(port));
  target.size = sizeof *address;
  return ::inet_pton(AF_INET, text, &address->sin_addr) == 1;
}

Outcome connect_within(int fd, const sockaddr* address, socklen_t size) {
  if (::connect(fd, address, size) == 0) return open_hole("connected");
  if (errno != EINPROGRESS) return closed(std::string("connect: ") + std::strerror(errno));
  pollfd wait{fd, POLLOUT, 0};
  if (::poll(&wait, 1, answer_ms) <= 0) return closed("connect: no answer");
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? open_hole("connected") : closed(std::strerror(error));
}

Outcome connect_unix(const sockaddr_un& target, std::size_t size) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return judge(fd, "socket");
  const auto outcome = connect_within(fd, reinterpret_cast<const sockaddr*>(&target),
                                      static_cast<socklen_t>(size));
  ::close(fd);
  return outcome;
}

/// Sends a datagram and waits for any answer.
Outcome datagram(const char* address, long long port, const void* data, std::size_t size) {
  Address target;
  if (!fill(target, AF_INET, address, port)) return not_run("no address");
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return judge(fd, "socket");
  auto outcome = closed("");
  if (::connect(fd, target.get(), target.size) != 0 || ::send(fd, data, size, 0) < 0) {
    outcome = judge(-1, "send");
  } else {
    pollfd wait{fd, POLLIN, 0};
    char answer[512];
    if (::poll(&wait, 1, answer_ms) <= 0)
      outcome = closed("no answer");
    else
      outcome = ::recv(fd, answer, sizeof answer, 0) >= 0 ? open_hole("was answered")
                                                          : judge(-1, "recv");
  }
  ::close(fd);
  return outcome;
}

/// The name servers of resolv.conf, and where one often listens.
std::string name_servers() {
  std::string found = std::string("127.0.0.1 127.0.0.53 ") + probe_facts::outside;
  if (FILE* file = std::fopen("/etc/resolv.conf", "re")) {
    char line[256];
    char address[64];
    while (std::fgets(line, sizeof line, file) != nullptr)
      if (std::sscanf(line, "nameserver %63[0-9.]", address) == 1)
        found += std::string(" ") + address;
    std::fclose(file);
  }
  return found;
}

/// What an HTTP proxy answers to CONNECT; anything but 2xx is a refusal.
Outcome read_status(int fd) {
  pollfd wait{fd, POLLIN, 0};
  char answer[16] = {};
  if (::poll(&wait, 1, 10 * answer_ms) <= 0) return closed("the proxy gave no answer");
  const auto got = ::recv(fd, answer, 12, MSG_WAITALL);
  if (got < 12) return closed("the proxy closed the connection");
  if (answer[9] == '2') return open_hole("the proxy connected");
  return closed(std::string("the proxy answered ") + (answer + 9));
}

}  // namespace

Outcome tcp(int family, const char* address) {
  const auto port = number(probe_facts::tcp_port);
  if (port < 0) return missing(probe_facts::tcp_port);
  Address target;
  if (!fill(target, family, address, port)) return not_run("no address");
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return judge(fd, "socket");
  const auto outcome = connect_within(fd, target.get(), target.size);
  ::close(fd);
  return outcome;
}

Outcome udp_outside() {
  const auto port = number(probe_facts::udp_port);
  if (port < 0) return missing(probe_facts::udp_port);
  return datagram(probe_facts::outside, port, "probe", 5);
}

Outcome dns() {
  // A question for example.com's address (RFC 1035, section 4).
  static constexpr char question[] =
      "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07"
      "example\x03"
      "com\x00\x00\x01\x00\x01";
  std::string servers = name_servers();
  Outcome last = not_run("no name server to ask");
  char* rest = nullptr;
  for (char* server = ::strtok_r(servers.data(), " ", &rest); server != nullptr;
       server = ::strtok_r(nullptr, " ", &rest)) {
    last = datagram(server, probe_facts::dns_port, question, sizeof question - 1);
    if (last.outcome == std::string("open")) return open_hole(std::string(server) + " answered");
  }
  return last;
}

Outcome raw_socket() {
  const int fd = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  const auto outcome = judge(fd, "socket");
  if (fd >= 0) ::close(fd);
  return outcome;
}

Outcome packet_socket() {
  const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  const auto outcome = judge(fd, "socket");
  if (fd >= 0) ::close(fd);
  return outcome;
}

Outcome ask_proxy(const char* host) {
  const char* port = fact(probe_facts::tcp_port);
  if (port == nullptr) return missing(probe_facts::tcp_port);
  Address proxy;
  if (!fill(proxy, AF_INET, "127.0.0.1", probe_facts::proxy_port)) return not_run("no address");
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return judge(fd, "socket");
  auto outcome = closed("");
  if (::connect(fd, proxy.get(), proxy.size) != 0) {
    outcome = judge(-1, "connect to the proxy");
  } else {
    const std::string target = std::string(host) + ":" + port;
    const std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n";
    outcome = ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0 ? judge(-1, "send")
                                                                           : read_status(fd);
  }
  ::close(fd);
  return outcome;
}

Outcome abstract_socket() {
  const char* name = fact(probe_facts::abstract_name);
  if (name == nullptr) return missing(probe_facts::abstract_name);
  sockaddr_un target{};
  target.sun_family = AF_UNIX;
  std::strncpy(target.sun_path + 1, name, sizeof target.sun_path - 2);
  return connect_unix(target, offsetof(sockaddr_un, sun_path) + 1 + std::strlen(name));
}

Outcome host_socket() {
  const char* path = fact(probe_facts::socket_path);
  if (path == nullptr) return missing(probe_facts::socket_path);
  sockaddr_un target{};
  target.sun_family = AF_UNIX;
  std::strncpy(target.sun_path, path, sizeof target.sun_path - 1);
  return connect_unix(target, sizeof target);
}

Outcome host_interfaces() {
  struct if_nameindex* const list = ::if_nameindex();
  if (list == nullptr) return not_run(std::string("if_nameindex: ") + std::strerror(errno));
  std::string others;
  for (const auto* entry = list; entry->if_index != 0; ++entry)
    if (std::strcmp(entry->if_name, "lo") != 0) others += std::string(" ") + entry->if_name;
  ::if_freenameindex(list);
  return others.empty() ? closed("only lo") : open_hole("sees" + others);
}

Outcome sysfs_interfaces() {
  DIR* folder = ::opendir("/sys/class/net");
  if (folder == nullptr) return judge(-1, "opendir");
  std::string others;
  while (const dirent* entry = ::readdir(folder))
    if (entry->d_name[0] != '.' && std::strcmp(entry->d_name, "lo") != 0)
      others += std::string(" ") + entry->d_name;
  ::closedir(folder);
  return others.empty() ? closed("only lo") : open_hole("sees" + others);
}

}  // namespace flow_runner::probe
