#include "sandbox/process.hpp"

#include <chrono>
#include <csignal>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "sandbox/alarm.hpp"

using namespace flow_runner;
using namespace std::chrono_literals;

namespace {

/// Runs to completion on a loop of its own, as a whole process would.
template <class T>
T complete(asio::io_context& loop, asio::awaitable<T> work) {
  std::optional<T> outcome;
  asio::co_spawn(loop, std::move(work), [&](const std::exception_ptr& error, T value) {
    if (error) std::rethrow_exception(error);
    outcome.emplace(std::move(value));
  });
  loop.restart();
  loop.run();
  REQUIRE(outcome.has_value());
  return std::move(*outcome);
}

Result<RunOutput> shell(const std::string& script, RunLimits limits = {}, ProcessSpec spec = {}) {
  asio::io_context loop(1);
  Cancellation cancellation;
  spec.argv = {"/bin/sh", "-c", script};
  return complete(loop, run_process(spec, limits, cancellation));
}

}  // namespace

TEST_CASE("process: output and exit code of a child are reported") {
  const auto output = shell("echo out; echo err >&2; exit 3");
  REQUIRE(output.has_value());
  CHECK(output->status.code == 3);
  CHECK(output->status.signal == 0);
  CHECK(output->stdout_text == "out\n");
  CHECK(output->stderr_text == "err\n");
}

TEST_CASE("process: the environment is exactly what was given") {
  ProcessSpec spec;
  spec.environment = {"ONLY=this"};
  const auto output = shell("/usr/bin/env", {}, spec);
  REQUIRE(output.has_value());
  CHECK(output->stdout_text.find("ONLY=this\n") != std::string::npos);
  CHECK(output->stdout_text.find("HOME=") == std::string::npos);
}

TEST_CASE("process: descriptors arrive under their numbers, and no others are inherited") {
  auto file = memory_file("test", "through a descriptor");
  REQUIRE(file.has_value());
  const Descriptor inheritable(
      ::open("/etc/hostname", O_RDONLY));  // deliberately not close-on-exec
  ProcessSpec spec;
  spec.extra_fds = {{file->get(), 9}};
  const auto output = shell("cat <&9; echo; ls -l /proc/self/fd", {}, spec);
  REQUIRE(output.has_value());
  CHECK(output->stdout_text.find("through a descriptor\n") == 0);
  CHECK(output->stdout_text.find("/etc/hostname") == std::string::npos);
}

TEST_CASE("process: a deadline ends the whole group, children that ignore TERM included") {
  const auto begin = std::chrono::steady_clock::now();
  const auto output =
      shell("trap '' TERM; sleep 100 & wait; sleep 100", {.deadline = 100ms, .grace = 100ms});
  REQUIRE(output.has_error());
  CHECK(output.error().code == ErrorCode::timed_out);
  CHECK(std::chrono::steady_clock::now() - begin < 20s);
}

TEST_CASE("process: a grandchild that keeps the pipe open does not keep us") {
  // setsid takes the grandchild out of the group, so nothing but the drain time ends the wait.
  const auto output = shell("echo $$; setsid sleep 30 & exit 0");
  REQUIRE(output.has_value());
  CHECK(output->status.success());
}

TEST_CASE("process: more output than allowed is an error, and the child is not blocked") {
  const auto output = shell("head -c 300000 /dev/zero", {.max_output = 1000});
  REQUIRE(output.has_error());
  CHECK(output.error().message.find("1000") != std::string::npos);
}

TEST_CASE("process: a program that is not there is an error that names it") {
  asio::io_context loop(1);
  Cancellation cancellation;
  ProcessSpec spec;
  spec.argv = {"no-such-program-here"};
  const auto output = complete(loop, run_process(spec, {}, cancellation));
  REQUIRE(output.has_error());
  CHECK(output.error().code == ErrorCode::not_found);
  CHECK(output.error().message.find("no-such-program-here") != std::string::npos);
}

TEST_CASE("process: a cancellation ends the child and is reported as such") {
  asio::io_context loop(1);
  Cancellation cancellation;
  Alarm soon(loop.get_executor());
  soon.set(50ms, [&] { cancellation.request(StopCause::canceled); });
  ProcessSpec spec;
  spec.argv = {"/bin/sleep", "100"};
  const auto output = complete(loop, run_process(spec, {}, cancellation));
  REQUIRE(output.has_error());
  CHECK(output.error().code == ErrorCode::cancelled);
}

TEST_CASE("process: nothing is started for a job that was cancelled before") {
  asio::io_context loop(1);
  Cancellation cancellation;
  cancellation.request(StopCause::timeout);
  ProcessSpec spec;
  spec.argv = {"/bin/true"};
  CHECK(complete(loop, run_process(spec, {}, cancellation)).has_error());
}

TEST_CASE("cancellation: the first cause wins, and late subscribers hear it at once") {
  Cancellation cancellation;
  std::vector<StopCause> heard;
  const auto early = cancellation.on_request([&](StopCause cause) { heard.push_back(cause); });
  cancellation.request(StopCause::timeout);
  cancellation.request(StopCause::canceled);
  const auto late = cancellation.on_request([&](StopCause cause) { heard.push_back(cause); });
  CHECK(heard == std::vector{StopCause::timeout, StopCause::timeout});
}

TEST_CASE("cancellation: a subscription that ended is not called, not even from within another") {
  Cancellation cancellation;
  int called = 0;
  std::optional<Cancellation::Subscription> second;
  const auto first = cancellation.on_request([&](StopCause) { second.reset(); });
  second = cancellation.on_request([&](StopCause) { ++called; });
  cancellation.request(StopCause::canceled);
  CHECK(called == 0);
}

TEST_CASE("cancellation: kill_now implies a request") {
  Cancellation cancellation;
  int requests = 0;
  int kills = 0;
  const auto request = cancellation.on_request([&](StopCause) { ++requests; });
  const auto kill = cancellation.on_kill([&](StopCause) { ++kills; });
  cancellation.kill_now();
  cancellation.kill_now();
  CHECK(requests == 1);
  CHECK(kills == 1);
}

TEST_CASE("alarm: a cancelled or destroyed alarm does not ring") {
  asio::io_context loop(1);
  int rung = 0;
  {
    Alarm gone(loop.get_executor());
    gone.set(1ms, [&] { ++rung; });
  }
  Alarm cancelled(loop.get_executor());
  cancelled.set(1ms, [&] { ++rung; });
  cancelled.cancel();
  Alarm replaced(loop.get_executor());
  replaced.set(1ms, [&] { rung += 10; });
  replaced.set(2ms, [&] { rung += 100; });
  loop.run();
  CHECK(rung == 100);
}
