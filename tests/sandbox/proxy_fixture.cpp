#include "tests/sandbox/proxy_fixture.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

namespace flow_runner::test {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Descriptor tcp_socket() {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) fail("socket");
  return socket;
}

NetworkRule rule(const std::string& entry, bool any_address) {
  auto parsed = parse_network_rule(entry, "test");
  if (!parsed) throw std::runtime_error(parsed.error().message);
  parsed->any_address = any_address;
  return *parsed;
}

std::size_t content_length(const std::string& header) {
  const std::size_t at = header.find("Content-Length: ");
  return at == std::string::npos ? std::string::npos : std::stoul(header.substr(at + 16));
}

}  // namespace

Peer::Peer(Descriptor socket) : socket_(std::move(socket)) {
  const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

Peer Peer::connect(std::uint16_t port) {
  Descriptor socket = tcp_socket();
  const sockaddr_in address = loopback(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("connect");
  return Peer(std::move(socket));
}

bool Peer::try_send(std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) return false;
    if (n < 0) fail("send");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void Peer::send(std::string_view data) {
  if (!try_send(data)) fail("send");
}

bool Peer::fill() {
  char buffer[65536];
  const ssize_t n = ::recv(fd(), buffer, sizeof buffer, 0);
  if (n < 0 && errno == ECONNRESET) return false;
  if (n < 0) fail("recv");
  buffer_.append(buffer, static_cast<std::size_t>(n));
  return n > 0;
}

std::string Peer::read_until(std::string_view end) {
  std::size_t at = 0;
  while ((at = buffer_.find(end)) == std::string::npos)
    if (!fill()) throw std::runtime_error("the connection ended after: " + buffer_);
  return read_bytes(at + end.size());
}

std::string Peer::read_bytes(std::size_t count) {
  while (buffer_.size() < count)
    if (!fill()) throw std::runtime_error("the connection ended after: " + buffer_);
  std::string taken = buffer_.substr(0, count);
  buffer_.erase(0, count);
  return taken;
}

std::string Peer::read_to_end() {
  while (fill()) {
  }
  return std::exchange(buffer_, {});
}

std::string Peer::read_response() {
  const std::string header = read_until("\r\n\r\n");
  const std::size_t length = content_length(header);
  return header + (length == std::string::npos ? read_to_end() : read_bytes(length));
}

std::size_t Peer::count_to_end() {
  std::size_t count = std::exchange(buffer_, {}).size();
  std::vector<char> piece(512U << 10);
  ssize_t n = 0;
  while ((n = ::recv(fd(), piece.data(), piece.size(), 0)) > 0)
    count += static_cast<std::size_t>(n);
  if (n < 0) fail("recv");
  return count;
}

void Peer::shut_down_writing() { ::shutdown(fd(), SHUT_WR); }

Descriptor listen_on_loopback() {
  Descriptor socket = tcp_socket();
  const sockaddr_in address = loopback(0);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), 512) != 0)
    fail("listen");
  return socket;
}

std::uint16_t port_of(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    fail("getsockname");
  return ntohs(address.sin_port);
}

Server::Server(std::function<void(Peer)> serve)
    : listener_(listen_on_loopback()), port_(port_of(listener_.get())), serve_(std::move(serve)) {
  acceptor_ = std::thread([this] {
    while (true) {
      Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket || stopping_) return;
      ++connections_;
      threads_.emplace_back([this, peer = std::make_shared<Peer>(std::move(socket))] {
        try {
          serve_(std::move(*peer));
        } catch (const std::exception&) {
          // The client ended first; what it then misses is the test's to see.
        }
      });
    }
  });
}

Server::~Server() {
  stopping_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (auto& thread : threads_) thread.join();
}

std::string Server::authority() const { return "127.0.0.1:" + std::to_string(port_); }

std::function<void(Peer)> http(std::function<std::string(const std::string&)> answer) {
  return [answer = std::move(answer)](Peer peer) {
    while (true) {
      const std::string header = peer.read_until("\r\n\r\n");
      const std::size_t length = content_length(header);
      peer.send(answer(length == std::string::npos ? header : header + peer.read_bytes(length)));
      if (header.find("Connection: close") != std::string::npos) return;
    }
  };
}

std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

ProxyFixture::ProxyFixture(const ProxyOptions& options) : work_(loop_.get_executor()) {
  ProxySpec spec;
  spec.program = FLOW_RUNNER_PROXY;
  for (const auto& entry : options.allow) spec.policy.allow.push_back(rule(entry, false));
  for (const auto& entry : options.own) spec.policy.allow.push_back(rule(entry, true));
  for (const auto& entry : options.deny) spec.policy.deny.push_back(rule(entry, false));
  spec.limits = options.limits;
  spec.upstream_environment = options.upstream;
  const Descriptor own = options.listener < 0 ? listen_on_loopback() : Descriptor();
  spec.listener_fd = options.listener < 0 ? own.get() : options.listener;
  port_ = port_of(spec.listener_fd);
  thread_ = std::thread([this] { loop_.run(); });
  // On the loop's thread: the proxy dies with the thread that started it.
  std::promise<Result<std::unique_ptr<NetworkProxy>>> started;
  boost::asio::post(loop_, [&] {
    started.set_value(
        NetworkProxy::start(loop_.get_executor(), spec, [this](const NetworkEvent& event) {
          const std::lock_guard lock(mutex_);
          events_.push_back(event);
          changed_.notify_all();
        }));
  });
  auto result = started.get_future().get();
  if (!result) {
    loop_.stop();
    thread_.join();
    throw std::runtime_error(result.error().message);
  }
  proxy_ = std::move(*result);
}

ProxyFixture::~ProxyFixture() {
  boost::asio::post(loop_, [this] { proxy_.reset(); });
  work_.reset();
  thread_.join();
}

int ProxyFixture::pid() const {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream list(task.path() / "children");
    int pid = 0;
    while (list >> pid) {
      std::string name;
      std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> std::ws, name);
      if (name.starts_with("flow-runner-pro")) return pid;
    }
  }
  throw std::runtime_error("there is no flow-runner-proxy");
}

std::size_t ProxyFixture::resident_bytes() const {
  std::ifstream file("/proc/" + std::to_string(pid()) + "/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

NetworkEvent ProxyFixture::event() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, patience, [&] { return events_.size() > taken_; }))
    throw std::runtime_error("there is no event");
  return events_[taken_++];
}

std::size_t ProxyFixture::pending() {
  const std::lock_guard lock(mutex_);
  return events_.size() - taken_;
}

Result<void> ProxyFixture::stop(std::chrono::milliseconds grace) {
  return boost::asio::co_spawn(loop_, proxy_->stop(grace), boost::asio::use_future).get();
}

}  // namespace flow_runner::test
