#include "sandbox/network_proxy.hpp"

#include <array>
#include <csignal>
#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "sandbox/alarm.hpp"
#include "sandbox/process.hpp"
#include "sandbox/proxy_protocol.hpp"
#include "sandbox/proxy_upstream.hpp"

namespace flow_runner {
namespace {

using boost::system::error_code;

constexpr std::size_t max_complaint_bytes = 1000;

/// Shared with the coroutine that supervises the process, which may outlive the owner.
struct Running {
  Running(const asio::any_io_executor& executor, Process child, Descriptor events,
          Descriptor complaints, std::function<void(const NetworkEvent&)> callback)
      : process(std::move(child)),
        out(executor, events.release()),
        err(executor, complaints.release()),
        wake(executor, asio::steady_timer::time_point::max()),
        on_event(std::move(callback)) {}

  Process process;
  asio::posix::stream_descriptor out;
  asio::posix::stream_descriptor err;
  asio::steady_timer wake;  ///< cancelled at the end
  std::function<void(const NetworkEvent&)> on_event;
  std::string complaint;
  bool stopping = false;
  bool forced = false;
  bool ended = false;
  std::optional<Error> died;  ///< before anybody asked for it
};

/// Calls back with each whole line; one that is too long is read over.
class Lines {
 public:
  template <class Callback>
  void add(std::string_view piece, Callback callback) {
    while (!piece.empty()) {
      const std::size_t end = piece.find('\n');
      const std::string_view part = piece.substr(0, end);
      if (line_.size() + part.size() > max_event_bytes)
        too_long_ = true;
      else
        line_ += part;
      if (end == std::string_view::npos) return;
      if (!too_long_) callback(line_);
      line_.clear();
      too_long_ = false;
      piece.remove_prefix(end + 1);
    }
  }

 private:
  std::string line_;
  bool too_long_ = false;
};

/// Calls back with each piece to the end of a pipe.
template <class Callback>
asio::awaitable<void> read_pieces(asio::posix::stream_descriptor& pipe, Callback callback) {
  std::array<char, 16384> buffer;
  while (true) {
    error_code error;
    const std::size_t n = co_await pipe.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    callback(std::string_view(buffer.data(), n));
  }
}

asio::awaitable<void> read_events(Running& running) {
  Lines lines;
  co_await read_pieces(running.out, [&](std::string_view piece) {
    lines.add(piece, [&](const std::string& line) {
      // A line that is no event is the proxy's fault, and no reason to lose those behind it.
      const auto event = parse_event(line);
      if (event && running.on_event) running.on_event(*event);
    });
  });
}

asio::awaitable<void> read_complaints(Running& running) {
  co_await read_pieces(running.err, [&](std::string_view piece) {
    const std::size_t room = max_complaint_bytes - running.complaint.size();
    for (const char c : piece.substr(0, room)) running.complaint += c >= 0x20 && c < 0x7f ? c : ' ';
  });
}

Error untimely_end(const Running& running, const Result<ExitStatus>& status) {
  std::string message = "the network proxy ended by itself";
  if (!status)
    message += ": " + status.error().message;
  else if (status->signal != 0)
    message += " by signal " + std::to_string(status->signal);
  else
    message += " with exit code " + std::to_string(status->code);
  if (!running.complaint.empty()) message += " (" + running.complaint + ")";
  return {ErrorCode::internal, message + "; from then on the job had no network"};
}

asio::awaitable<void> supervise(std::shared_ptr<Running> running) {
  using namespace asio::experimental::awaitable_operators;
  const auto status =
      co_await (running->process.wait() && read_events(*running) && read_complaints(*running));
  // A death just before the stop may be seen only after it.
  const bool asked_for =
      running->stopping &&
      (running->forced || (status && (status->success() || status->signal == SIGTERM)));
  if (!asked_for) running->died = untimely_end(*running, status);
  running->ended = true;
  running->wake.cancel();
}

class SpawnedProxy final : public NetworkProxy {
 public:
  explicit SpawnedProxy(std::shared_ptr<Running> running) : running_(std::move(running)) {}
  SpawnedProxy(const SpawnedProxy&) = delete;
  SpawnedProxy& operator=(const SpawnedProxy&) = delete;
  ~SpawnedProxy() override {
    running_->on_event = {};
    running_->stopping = true;
    if (!running_->ended) running_->process.signal_group(SIGKILL);
  }

  asio::awaitable<Result<void>> stop(std::chrono::milliseconds grace) override {
    const auto running = running_;
    if (!running->ended) {
      running->stopping = true;
      running->process.signal_group(SIGTERM);
      Alarm force(running->wake.get_executor());
      force.set(grace, [running] {
        running->forced = true;
        running->process.signal_group(SIGKILL);
      });
      while (!running->ended) {
        error_code ignored;
        co_await running->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      }
    }
    if (running->died) co_return *running->died;
    co_return Result<void>();
  }

 private:
  std::shared_ptr<Running> running_;
};

}  // namespace

Result<std::unique_ptr<NetworkProxy>> NetworkProxy::start(
    asio::any_io_executor executor, const ProxySpec& spec,
    std::function<void(const NetworkEvent&)> on_event) {
  // Read here too, for the error to reach whoever starts the job.
  FR_CHECK(UpstreamProxies::from_environment(spec.upstream_environment));
  FR_TRY(const std::string settings,
         to_json(ProxySettings{.policy = spec.policy,
                               .limits = spec.limits,
                               .upstream_environment = spec.upstream_environment,
                               .uid = spec.uid,
                               .gid = spec.gid}));
  FR_TRY(const Descriptor input, memory_file("flow-runner-proxy", settings));
  FR_TRY(Pipe events, make_pipe());
  FR_TRY(Pipe complaints, make_pipe());
  ProcessSpec process;
  process.argv = {spec.program.string()};
  process.working_directory = "/";
  process.stdin_fd = input.get();
  process.stdout_fd = events.write.get();
  process.stderr_fd = complaints.write.get();
  process.extra_fds = {{spec.listener_fd, proxy_listener_number}};
  FR_TRY(Process child, Process::spawn(executor, process));
  auto running = std::make_shared<Running>(executor, std::move(child), std::move(events.read),
                                           std::move(complaints.read), std::move(on_event));
  asio::co_spawn(executor, supervise(running), [running](const std::exception_ptr& escaped) {
    if (!escaped) return;
    running->died = Error{ErrorCode::internal, "the network proxy could not be watched"};
    running->ended = true;
    running->process.signal_group(SIGKILL);
    running->wake.cancel();
  });
  return std::unique_ptr<NetworkProxy>(std::make_unique<SpawnedProxy>(std::move(running)));
}

}  // namespace flow_runner
