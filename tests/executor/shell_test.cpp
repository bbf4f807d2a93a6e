#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "executor/executor_channel.hpp"
#include "executor/run_options.hpp"
#include "executor/shell_relay.hpp"
#include "tests/executor/run_awaitable.hpp"

using namespace flow_runner;
namespace asio = boost::asio;

namespace {

std::shared_ptr<const MaskerPatterns> patterns() {
  return MaskerPatterns::compile(
      {{.name = "KEY", .value = Secret("hunter2hunter2"), .marked = true}});
}

struct Terminal {
  Descriptor master, slave;
};

Terminal make_terminal() {
  Terminal terminal;
  terminal.master = Descriptor(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(terminal.master.get() >= 0);
  REQUIRE(::grantpt(terminal.master.get()) == 0);
  REQUIRE(::unlockpt(terminal.master.get()) == 0);
  terminal.slave = Descriptor(::open(::ptsname(terminal.master.get()), O_RDWR | O_NOCTTY));
  REQUIRE(terminal.slave.get() >= 0);
  termios mode{};
  ::tcgetattr(terminal.slave.get(), &mode);
  ::cfmakeraw(&mode);
  ::tcsetattr(terminal.slave.get(), TCSANOW, &mode);
  return terminal;
}

}  // namespace

TEST_CASE("shell channel: frames come back, however the stream is split") {
  const std::string stream = shell_frames(ShellFrame::begin, {}) +
                             shell_frames(ShellFrame::output, std::string(70'000, 'x')) +
                             window_frame({50, 132});
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, stream.size()}) {
    CAPTURE(step);
    ShellFrameReader reader;
    std::string kinds, output;
    WindowSize size;
    for (std::size_t at = 0; at < stream.size(); at += step)
      reader.read(std::string_view(stream).substr(at, step),
                  [&](ShellFrame kind, std::string_view content) {
                    kinds += static_cast<char>(kind);
                    if (kind == ShellFrame::output) output += content;
                    if (kind == ShellFrame::window) size = window_from(content);
                  });
    CHECK(kinds == "BOOW");
    CHECK(output == std::string(70'000, 'x'));
    CHECK(size == WindowSize{50, 132});
  }
  CHECK(window_from("abc") == WindowSize{});
}

TEST_CASE("run options: words come back, and unknown ones are refused") {
  RunOptions options{KeepWorkspace::yes, ShellUse::on_failure, "xterm-256color"};
  const auto read = run_options_from(to_words(options));
  REQUIRE(read.has_value());
  CHECK(read->keep == KeepWorkspace::yes);
  CHECK(read->shell == ShellUse::on_failure);
  CHECK(read->terminal == "xterm-256color");
  CHECK(to_words({}).empty());
  const std::vector<std::string> unknown = {"other"}, nameless = {"shell=a b"};
  CHECK_FALSE(run_options_from(unknown).has_value());
  CHECK_FALSE(run_options_from(nameless).has_value());
}

TEST_CASE("interactive masker: a pause lets a few bytes go, and never most of a secret") {
  InteractiveMasker masker(patterns());
  CHECK(masker.write("ls: h").substr(0, 4) == "ls: ");
  CHECK(masker.pause() == "h");
  CHECK(masker.pause().empty());
  CHECK(masker.write("hunter2").empty());
  CHECK(masker.pause().empty());
  std::string rest = masker.write("hunter2 $ ");
  rest += masker.finish();
  CHECK(rest == "[MASKED] $ ");
}

TEST_CASE(
    "shell relay: bytes and window sizes reach the terminal, and its masked output the client") {
  asio::io_context loop(1);
  auto channel = make_channel();
  REQUIRE(channel.has_value());
  Terminal terminal = make_terminal();
  ShellRelay relay(loop.get_executor(), std::move(channel->second), patterns());
  asio::posix::stream_descriptor client(loop, channel->first.release());
  std::string kinds, output, typed;
  winsize size{};
  asio::steady_timer deadline(loop, std::chrono::seconds(20));
  bool late = false;
  deadline.async_wait([&](const boost::system::error_code& error) {
    late = !error;
    if (late) loop.stop();
  });
  const auto person = [&]() -> asio::awaitable<void> {
    const std::string sent = window_frame({50, 132}) + shell_frames(ShellFrame::input, "typed");
    REQUIRE(write_all(client.native_handle(), sent).has_value());
    std::array<char, 4096> buffer;
    ShellFrameReader reader;
    bool answered = false;
    while (true) {
      boost::system::error_code error;
      const std::size_t count = co_await client.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
      reader.read({buffer.data(), count}, [&](ShellFrame kind, std::string_view content) {
        kinds += static_cast<char>(kind);
        if (kind == ShellFrame::output) output += content;
      });
      if (kinds.empty() || answered) continue;
      answered = true;
      // What was typed is at the other side: wait for it there, then answer and hang up.
      asio::posix::stream_descriptor slave(loop, terminal.slave.release());
      const std::size_t read = co_await slave.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
      typed.assign(buffer.data(), read);
      ::ioctl(slave.native_handle(), TIOCGWINSZ, &size);
      REQUIRE(write_all(slave.native_handle(), "key hunter2hunter2\n").has_value());
    }
    deadline.cancel();
  };
  asio::co_spawn(loop, relay.run(), [](const std::exception_ptr&) {});
  asio::co_spawn(loop, person(), [](const std::exception_ptr&) {});
  relay.open(std::move(terminal.master));
  loop.run();
  CHECK_FALSE(late);
  CHECK(typed == "typed");
  CHECK(size.ws_row == 50);
  CHECK(size.ws_col == 132);
  CHECK(output == "key [MASKED]\n");
  CHECK(kinds.front() == 'B');
  CHECK(kinds.back() == 'E');
}

TEST_CASE("shell relay: a terminal that never comes ends with the command") {
  asio::io_context loop(1);
  auto channel = make_channel();
  REQUIRE(channel.has_value());
  ShellRelay relay(loop.get_executor(), std::move(channel->second), patterns());
  relay.finish();
  bool ended = false;
  asio::co_spawn(loop, relay.run(), [&](const std::exception_ptr&) { ended = true; });
  loop.run_for(std::chrono::seconds(20));
  CHECK(ended);
  char byte = 0;
  CHECK(::read(channel->first.get(), &byte, 1) == 0);
}
