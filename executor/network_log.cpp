#include "executor/network_log.hpp"

#include <algorithm>
#include <fcntl.h>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "config/units.hpp"
#include "executor/timestamp.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

using Kind = NetworkEvent::Kind;

constexpr std::size_t max_text_bytes = 512;
// Kept free for the line that says that the file is full.
constexpr std::uint64_t last_line_bytes = 256;
constexpr const char* other_hosts = "(other hosts)";

struct HostCount {
  std::uint64_t denied = 0, failed = 0, finished = 0, up = 0, down = 0;
};

const char* word_of(Kind kind) {
  switch (kind) {
    case Kind::denied:
      return "denied";
    case Kind::failed:
      return "failed";
    case Kind::finished:
      return "finished";
  }
  return "";
}

/// The proxy has already made it printable and short; whoever broke the proxy has not.
std::string plain(std::string_view text) {
  std::string safe(text.substr(0, max_text_bytes));
  for (char& c : safe)
    if (c < ' ' || c > '~') c = '?';
  return safe;
}

std::string target_of(const NetworkEvent& event) {
  const std::string host = plain(event.host);
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(event.port);
}

std::string json_line(const NetworkEvent& event) {
  nlohmann::json json = {{"at", format_timestamp(std::chrono::system_clock::now())},
                         {"kind", word_of(event.kind)},
                         {"method", plain(event.method)},
                         {"host", plain(event.host)},
                         {"port", event.port},
                         {"status", event.status},
                         {"duration_ms", event.duration.count()}};
  if (!event.address.empty()) json["address"] = plain(event.address);
  if (!event.reason.empty()) json["reason"] = plain(event.reason);
  if (!event.cure.empty()) json["cure"] = plain(event.cure);
  if (event.kind == Kind::finished) {
    json["bytes_up"] = event.bytes_up;
    json["bytes_down"] = event.bytes_down;
  }
  return json.dump();
}

std::string counted(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

struct NetworkLog::State {
  Descriptor file;
  std::shared_ptr<const MaskerPatterns> patterns;
  std::function<void(const std::string&)> say;
  Limits limits;
  std::uint64_t bytes = 0;
  bool full = false;
  std::size_t lines = 0;
  std::map<std::string, HostCount> hosts;
  std::optional<Error> error;

  void write(const std::string& line) {
    if (const auto written = write_all(file.get(), line + "\n"); !written && !error)
      error = written.error();
    bytes += line.size() + 1;
  }

  void record(const NetworkEvent& event) {
    if (full) return;
    const std::string line = json_line(event);
    if (bytes + line.size() + 1 + last_line_bytes <= limits.max_file_bytes) {
      write(line);
      return;
    }
    full = true;
    write(R"({"kind":"truncated","reason":"the file has reached its limit of )" +
          format_bytes(limits.max_file_bytes) + R"("})");
  }

  void tell(const NetworkEvent& event) {
    if (lines > limits.max_lines) return;
    if (++lines > limits.max_lines) {
      say("network: further denials and failures are in network.jsonl only");
      return;
    }
    std::string line = std::string("network: ") + word_of(event.kind) + " " + plain(event.method) +
                       " " + target_of(event) + ": " + plain(event.reason);
    if (event.kind == Kind::denied && !event.cure.empty())
      line += "; allow it with --network-allow " + plain(event.cure);
    say(line);
  }

  // Before anything is cut or made printable: what is left of a secret then is another text.
  [[nodiscard]] NetworkEvent masked(NetworkEvent event) const {
    for (std::string* text :
         {&event.method, &event.host, &event.address, &event.reason, &event.cure})
      *text = mask_text(*patterns, *text);
    return event;
  }

  void add(const NetworkEvent& given) {
    const NetworkEvent event = masked(given);
    record(event);
    const std::string target = target_of(event);
    const bool counted_alone = hosts.contains(target) || hosts.size() < limits.max_hosts;
    HostCount& count = hosts[counted_alone ? target : other_hosts];
    switch (event.kind) {
      case Kind::denied:
        if (count.denied++ == 0) tell(event);
        break;
      case Kind::failed:
        if (count.failed++ == 0) tell(event);
        break;
      case Kind::finished:
        ++count.finished;
        count.up += event.bytes_up;
        count.down += event.bytes_down;
        break;
    }
  }

  /// The hosts for which `count` is not nothing, most first, as one line each.
  template <class Count, class Text>
  void add_top(std::vector<std::string>& text, Count count, Text describe) const {
    std::vector<std::pair<std::string_view, const HostCount*>> top;
    for (const auto& [name, host] : hosts)
      if (count(host) > 0) top.emplace_back(name, &host);
    std::stable_sort(top.begin(), top.end(), [&](const auto& a, const auto& b) {
      return count(*a.second) > count(*b.second);
    });
    const std::size_t shown = std::min(top.size(), limits.max_summary_hosts);
    for (std::size_t i = 0; i < shown; ++i)
      text.push_back("  " + std::string(top[i].first) + "  " + describe(*top[i].second));
    if (top.size() > shown)
      text.push_back("  and " + std::to_string(top.size() - shown) + " more: see network.jsonl");
  }
};

NetworkLog::NetworkLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
NetworkLog::NetworkLog(NetworkLog&&) noexcept = default;
NetworkLog& NetworkLog::operator=(NetworkLog&&) noexcept = default;
NetworkLog::~NetworkLog() = default;

Result<NetworkLog> NetworkLog::open(const std::filesystem::path& file,
                                    std::shared_ptr<const MaskerPatterns> patterns,
                                    std::function<void(const std::string&)> say, Limits limits) {
  auto state = std::make_unique<State>();
  FR_TRY(state->file, open_file(file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW, 0640));
  state->patterns = std::move(patterns);
  state->say = std::move(say);
  state->limits = limits;
  return NetworkLog(std::move(state));
}

void NetworkLog::add(const NetworkEvent& event) { state_->add(event); }

std::vector<std::string> NetworkLog::summary() const {
  HostCount total;
  for (const auto& [name, host] : state_->hosts) {
    total.denied += host.denied;
    total.failed += host.failed;
    total.finished += host.finished;
    total.up += host.up;
    total.down += host.down;
  }
  std::vector<std::string> text;
  if (total.finished + total.denied + total.failed == 0) return text;
  text.push_back("Network: " + counted(total.finished, "connection") + ", " +
                 format_bytes(total.up) + " up, " + format_bytes(total.down) + " down; " +
                 std::to_string(total.denied) + " denied, " + std::to_string(total.failed) +
                 " failed");
  state_->add_top(
      text, [](const HostCount& host) { return host.finished; },
      [](const HostCount& host) {
        return counted(host.finished, "connection") + ", " + format_bytes(host.up) + " up, " +
               format_bytes(host.down) + " down";
      });
  state_->add_top(
      text, [](const HostCount& host) { return host.denied; },
      [](const HostCount& host) { return "denied " + counted(host.denied, "time"); });
  state_->add_top(
      text, [](const HostCount& host) { return host.failed; },
      [](const HostCount& host) { return "failed " + counted(host.failed, "time"); });
  return text;
}

const Error* NetworkLog::error() const noexcept {
  return state_->error ? &*state_->error : nullptr;
}

}  // namespace flow_runner
