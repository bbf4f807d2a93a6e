#include "sandbox/proxy_confinement.hpp"

#include <cerrno>
#include <csignal>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <sched.h>
#include <string>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "sandbox/descriptor.hpp"

using namespace flow_runner;

namespace {

bool refused(long result) { return result < 0 && errno == EPERM; }

std::string faults() {
  std::string text;
  const auto require = [&](bool holds, const char* what) {
    if (!holds) text += std::string(what) + ";";
  };
  const std::string path = "/tmp/flow-runner-proxy-confinement." + std::to_string(::getpid());
  require(refused(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), "creates a file");
  require(refused(::open("/dev/null", O_RDWR | O_CLOEXEC)), "opens for writing");
  require(refused(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)), "makes a nameless file");
  require(::open("/etc/hosts", O_RDONLY | O_CLOEXEC) >= 0, "cannot read /etc/hosts");
  char program[] = "/bin/true";
  char* const arguments[] = {program, nullptr};
  require(refused(::execve(program, arguments, nullptr)), "executes");
  require(refused(::fork()), "forks");
  require(refused(::unshare(CLONE_NEWUSER)), "makes a namespace");
  require(refused(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)), "traces");
  require(refused(::kill(::getppid(), 0)), "signals others");
  require(refused(::socket(AF_PACKET, SOCK_RAW, 0)), "opens a packet socket");
  require(refused(::unlink(path.c_str())), "removes");
  addrinfo* list = nullptr;
  bool resolved = false;
  std::thread([&] { resolved = ::getaddrinfo("localhost", nullptr, nullptr, &list) == 0; }).join();
  require(resolved, "cannot resolve in a thread");
  return text;
}

}  // namespace

TEST_CASE("proxy confinement: it keeps sockets, threads and name resolution, and nothing more") {
  auto pipe = make_pipe();
  REQUIRE(pipe.has_value());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto confined = confine_proxy(65534, 65534);
    const auto text = confined ? faults() : confined.error().message;
    const auto written = write_all(pipe->write.get(), text);
    ::_exit(written ? 0 : 1);
  }
  pipe->write.close();
  const auto text = read_all(pipe->read.get(), 4096, "the child");
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  REQUIRE(text.has_value());
  CHECK(*text == "");
}
