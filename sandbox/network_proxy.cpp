#include "sandbox/network_proxy.hpp"

#include <array>
#include <csignal>
#include <memory>
#include <unistd.h>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sandbox/alarm.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/process.hpp"
#include "sandbox/proxy_wire.hpp"

namespace flow_runner {
namespace {

/// What the reading coroutine needs; it may end after the object that started it.
struct EventStream {
  asio::posix::stream_descriptor pipe;
  std::function<void(const NetworkEvent&)> on_event;
  std::function<void()> on_end;
  bool open = true;
};

asio::awaitable<void> read_events(std::shared_ptr<EventStream> stream) {
  std::array<char, 16384> buffer;
  std::string line;
  while (true) {
    boost::system::error_code error;
    const std::size_t count = co_await stream->pipe.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    for (std::size_t i = 0; i < count; ++i) {
      const char c = buffer.at(i);
      if (c != '\n' && line.size() < max_event_line) line += c;
      if (c != '\n') continue;
      const auto event = event_from_line(line);
      if (event && stream->on_event) stream->on_event(*event);
      line.clear();
    }
  }
}

class ProxyProcess : public NetworkProxy {
 public:
  ProxyProcess(const asio::any_io_executor& executor, Process process, Descriptor events,
               std::function<void(const NetworkEvent&)> on_event)
      : executor_(executor),
        process_(std::move(process)),
        stream_(std::make_shared<EventStream>(EventStream{
            asio::posix::stream_descriptor(executor, events.release()), std::move(on_event), {}})) {
    asio::co_spawn(executor_, read_events(stream_), [stream = stream_](const std::exception_ptr&) {
      stream->open = false;
      if (stream->on_end) stream->on_end();
    });
  }
  ProxyProcess(ProxyProcess&&) = delete;
  ProxyProcess& operator=(ProxyProcess&&) = delete;
  ~ProxyProcess() override {
    stream_->on_event = {};
    stream_->on_end = {};
    stream_->pipe.close();
  }

  asio::awaitable<Result<void>> stop(std::chrono::milliseconds grace) override {
    if (std::exchange(stopped_, true)) co_return Result<void>();
    const bool died = !stream_->open;
    process_.signal_group(SIGTERM);
    Alarm late(executor_);
    late.set(grace, [this] { process_.signal_group(SIGKILL); });
    const auto status = co_await process_.wait();
    late.cancel();
    // The pipe ends with the process; what it still holds is read first.
    if (stream_->open) {
      asio::steady_timer rest(executor_, std::chrono::seconds(1));
      stream_->on_end = [&rest] { rest.cancel(); };
      boost::system::error_code ignored;
      co_await rest.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      stream_->on_end = {};
    }
    if (!status) co_return status.error();
    if (died)
      co_return Error{ErrorCode::internal,
                      "the job's network proxy had ended by itself, with code " +
                          std::to_string(status->code) + "; from then on the job had no network"};
    co_return Result<void>();
  }

 private:
  asio::any_io_executor executor_;
  Process process_;
  std::shared_ptr<EventStream> stream_;
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<NetworkProxy>> NetworkProxy::start(
    asio::any_io_executor executor, const ProxySpec& spec,
    std::function<void(const NetworkEvent&)> on_event) {
  const ProxyConfig config{spec.policy, spec.limits, spec.uid, spec.gid};
  FR_TRY(const Descriptor settings, memory_file("proxy-settings", to_text(config)));
  FR_TRY(Pipe events, make_pipe());
  ProcessSpec process_spec;
  process_spec.argv = {spec.program.string()};
  process_spec.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  process_spec.stdin_fd = settings.get();
  process_spec.stdout_fd = events.write.get();
  process_spec.stderr_fd = STDERR_FILENO;
  process_spec.extra_fds = {{spec.listener_fd, proxy_listener_fd}};
  FR_TRY(Process process, Process::spawn(executor, process_spec));
  return std::unique_ptr<NetworkProxy>(std::make_unique<ProxyProcess>(
      executor, std::move(process), std::move(events.read), std::move(on_event)));
}

}  // namespace flow_runner
