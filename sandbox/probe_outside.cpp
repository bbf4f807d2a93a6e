#include "sandbox/probe_outside.hpp"

#include <arpa/inet.h>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/probe/probe_facts.hpp"

namespace flow_runner {
namespace {

constexpr const char* abstract_name = "flow-runner-probe";
constexpr key_t queue_key = 0x666c6f77;

Result<void> bring_lo_up() {
  const Descriptor any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto set = [&](const char* name, const char* address) {
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    auto* target = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
    target->sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &target->sin_addr);
    if (::ioctl(any.get(), SIOCSIFADDR, &request) != 0) return false;
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ::ioctl(any.get(), SIOCSIFFLAGS, &request) == 0;
  };
  if (!set("lo", "127.0.0.1") || !set("lo:1", probe_facts::outside) ||
      !set("lo:2", probe_facts::metadata))
    return errno_error("cannot give the outside its addresses");
  return {};
}

/// Without IPv6 there is no way out by it either: no error.
void add_ipv6_address() {
  struct {
    in6_addr address;
    std::uint32_t prefix;
    int index;
  } request{};  // struct in6_ifreq of <linux/ipv6.h>, which cannot be included beside libc's
  const Descriptor any(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ::inet_pton(AF_INET6, probe_facts::outside_v6, &request.address);
  request.prefix = 128;
  request.index = static_cast<int>(::if_nametoindex("lo"));
  (void)::ioctl(any.get(), SIOCSIFADDR, &request);
}

/// A second interface to be seen. Where the kernel has no tun there is one less thing to show.
Descriptor add_interface() {
  Descriptor tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  std::strncpy(request.ifr_name, "probe0", IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (!tun || ::ioctl(tun.get(), TUNSETIFF, &request) != 0) return {};
  return tun;
}

/// At every address, of IPv6 too where there is any.
Result<Descriptor> listen_tcp(std::uint16_t port) {
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(port);
  Descriptor fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int off = 0;
  if (fd) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  } else {
    fd = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    any.sin6_family = AF_INET;  // the port is at the same place, the rest zero
  }
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any),
             any.sin6_family == AF_INET6 ? sizeof any : sizeof(sockaddr_in)) != 0 ||
      ::listen(fd.get(), 64) != 0)
    return errno_error("cannot listen as the outside");
  return fd;
}

/// At one address, so that the answer comes from there.
Result<Descriptor> receive_udp(const char* address, std::uint16_t port) {
  Descriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &name.sin_addr);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) != 0)
    return errno_error(std::string("cannot bind the outside's UDP socket at ") + address);
  return fd;
}

Result<Descriptor> listen_unix(const sockaddr_un& name, std::size_t size) {
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), static_cast<socklen_t>(size)) != 0)
    return errno_error("cannot bind the outside's unix socket");
  if (::listen(fd.get(), 64) != 0) return errno_error("cannot listen on a unix socket");
  return fd;
}

std::string port_of(const Descriptor& fd) {
  sockaddr_in6 bound_to{};
  socklen_t size = sizeof bound_to;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound_to), &size);
  return std::to_string(ntohs(bound_to.sin6_port));  // the same place in sockaddr_in
}

/// All that the outside holds open.
struct Sockets {
  Descriptor tcp, proxy, udp, dns, local_dns, abstract, path, interface;
};

Result<Sockets> open_sockets(const std::filesystem::path& socket_path) {
  Sockets made;
  FR_TRY(made.tcp, listen_tcp(0));
  FR_TRY(made.proxy, listen_tcp(probe_facts::proxy_port));
  FR_TRY(made.udp, receive_udp(probe_facts::outside, 0));
  FR_TRY(made.dns, receive_udp(probe_facts::outside, probe_facts::dns_port));
  FR_TRY(made.local_dns, receive_udp("127.0.0.1", probe_facts::dns_port));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path + 1, abstract_name, sizeof name.sun_path - 2);
  FR_TRY(made.abstract, listen_unix(name, offsetof(sockaddr_un, sun_path) + 1 +
                                              std::strlen(abstract_name)));
  sockaddr_un path{};
  path.sun_family = AF_UNIX;
  if (socket_path.native().size() >= sizeof path.sun_path)
    return Error{ErrorCode::invalid_input, "the path of the probe's folder is too long: " +
                                               socket_path.string()};
  std::strncpy(path.sun_path, socket_path.c_str(), sizeof path.sun_path - 1);
  FR_TRY(made.path, listen_unix(path, sizeof path));
  ::chmod(socket_path.c_str(), 0777);
  made.interface = add_interface();
  return made;
}

/// Says yes to whatever a client of the proxy asks for.
void answer_as_proxy(int listener) {
  const Descriptor client(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) return;
  static constexpr char yes[] = "HTTP/1.1 200 OK\r\n\r\n";
  char request[1024];
  pollfd wait{client.get(), POLLIN, 0};
  if (::poll(&wait, 1, 1000) == 1) (void)::recv(client.get(), request, sizeof request, 0);
  (void)::send(client.get(), yes, sizeof yes - 1, MSG_NOSIGNAL);
}

void answer_datagram(int fd) {
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  char data[512];
  const auto got = ::recvfrom(fd, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (got >= 0)
    (void)::sendto(fd, data, static_cast<std::size_t>(got), MSG_NOSIGNAL,
                   reinterpret_cast<const sockaddr*>(&from), size);
}

/// Until the other end of `alive` is closed.
[[noreturn]] void serve(const Sockets& sockets, int alive) {
  ::prctl(PR_SET_NAME, probe_facts::victim_name);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::array<pollfd, 8> wait{{{alive, POLLIN, 0},
                              {sockets.tcp.get(), POLLIN, 0},
                              {sockets.abstract.get(), POLLIN, 0},
                              {sockets.path.get(), POLLIN, 0},
                              {sockets.proxy.get(), POLLIN, 0},
                              {sockets.udp.get(), POLLIN, 0},
                              {sockets.dns.get(), POLLIN, 0},
                              {sockets.local_dns.get(), POLLIN, 0}}};
  while (true) {
    if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) ::_exit(1);
    if (wait[0].revents != 0) ::_exit(0);
    for (std::size_t i = 1; i <= 3; ++i)
      if (wait[i].revents != 0) Descriptor(::accept4(wait[i].fd, nullptr, nullptr, SOCK_CLOEXEC));
    if (wait[4].revents != 0) answer_as_proxy(wait[4].fd);
    for (std::size_t i = 5; i <= 7; ++i)
      if (wait[i].revents != 0) answer_datagram(wait[i].fd);
  }
}

}  // namespace

Result<ProbeOutside> ProbeOutside::start(const std::filesystem::path& folder) {
  ProbeOutside outside;
  outside.folder_ = folder;
  const auto socket_path = folder / "socket";
  FR_CHECK(bring_lo_up());
  add_ipv6_address();
  FR_TRY(const Sockets sockets, open_sockets(socket_path));
  if (::msgget(queue_key, IPC_CREAT | 0666) < 0)
    return errno_error("cannot make the outside's message queue");
  const auto namespace_name = std::filesystem::read_symlink("/proc/self/ns/pid").string();
  const auto add = [&](const char* name, const std::string& value) {
    outside.facts_.push_back(std::string(name) + "=" + value);
  };
  add(probe_facts::tcp_port, port_of(sockets.tcp));
  add(probe_facts::udp_port, port_of(sockets.udp));
  add(probe_facts::abstract_name, abstract_name);
  add(probe_facts::socket_path, socket_path);
  add(probe_facts::pid_namespace, namespace_name);
  add(probe_facts::queue_key, std::to_string(queue_key));
  FR_TRY(Pipe alive, make_pipe());
  const pid_t child = ::fork();
  if (child < 0) return errno_error("cannot fork");
  if (child == 0) {
    alive.write.close();
    serve(sockets, alive.read.get());
  }
  outside.alive_ = std::move(alive.write);
  return outside;
}

ProbeOutside::~ProbeOutside() = default;

}  // namespace flow_runner
