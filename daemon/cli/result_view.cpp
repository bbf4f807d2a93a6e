#include "daemon/cli/result_view.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/quoted_path.hpp"
#include "config/units.hpp"
#include "daemon/cli/terminal_text.hpp"
#include "executor/timestamp.hpp"

namespace flow_runner::cli {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr std::size_t max_shown_changes = 50;
constexpr std::size_t max_shown_hosts = 20;
constexpr std::size_t short_commit = 12;

// Names, messages and warnings can hold what an agent wrote.
std::string plain(std::string_view text) {
  std::string safe = terminal_text(text, TerminalColours::removed);
  std::replace_if(
      safe.begin(), safe.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return safe;
}

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string took(const JobResult& result) {
  const auto total = result.timings.total_ms
                         ? milliseconds(*result.timings.total_ms)
                         : duration_cast<milliseconds>(result.finished_at - result.started_at);
  return format_duration_rounded(std::max(total, milliseconds(0)));
}

std::string status_words(const JobResult& result) {
  std::string words(to_string(result.status));
  if (result.cause == JobCause::none || to_string(result.cause) == words) return words;
  words += " (" + std::string(to_string(result.cause));
  if (result.cause == JobCause::script_failure && result.exit_code)
    words += ", exit code " + std::to_string(*result.exit_code);
  return words + ")";
}

class Page {
 public:
  void field(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    std::string label(name);
    label.resize(std::max<std::size_t>(label.size() + 1, 10), ' ');
    text_ += label + plain(value) + "\n";
  }
  void line(std::string_view value) { text_ += plain(value) + "\n"; }
  void entry(std::string_view name, std::string_view value) {
    field("  " + std::string(name) + std::string(name.size() < 9 ? 9 - name.size() : 0, ' '),
          value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void add_changes(const JobResult& result, Page& page) {
  for (std::size_t i = 0; i < std::min(result.changes.size(), max_shown_changes); ++i) {
    const Change& change = result.changes[i];
    page.line("  " + std::string(1, static_cast<char>(change.status)) + " " +
              (is_utf8(change.path) ? change.path : quote_path(change.path)));
  }
  if (result.changes.size() > max_shown_changes)
    page.line("  and " + std::to_string(result.changes.size() - max_shown_changes) +
              " more: see --diff, or `changes` in " + "result.json");
}

void add_phases(const JobTimings& timings, Page& page) {
  const std::array<std::pair<const char*, std::optional<std::int64_t>>, 7> phases{{
      {"queue", timings.queue_ms},
      {"image", timings.image_ms},
      {"workspace", timings.workspace_ms},
      {"sandbox", timings.sandbox_ms},
      {"script", timings.script_ms},
      {"changes", timings.changes_ms},
      {"publish", timings.publish_ms},
  }};
  page.line("phases");
  for (const auto& [name, ms] : phases)
    if (ms) page.entry(name, format_duration_rounded(milliseconds(*ms)));
}

// Most first, so that what is left out is what matters least.
template <class Count, class Text>
void add_hosts(const NetworkSummary& network, const char* label, Count count, Text text,
               Page& page) {
  std::vector<const NetworkHost*> hosts;
  for (const NetworkHost& host : network.hosts)
    if (count(host) > 0) hosts.push_back(&host);
  std::stable_sort(hosts.begin(), hosts.end(), [&](const NetworkHost* a, const NetworkHost* b) {
    return count(*a) > count(*b);
  });
  for (std::size_t i = 0; i < std::min(hosts.size(), max_shown_hosts); ++i)
    page.entry(label, hosts[i]->host + "  " + text(*hosts[i]));
  if (hosts.size() > max_shown_hosts)
    page.entry(label, "and " + std::to_string(hosts.size() - max_shown_hosts) +
                          " more: see --json, or network.jsonl");
}

void add_network(const JobResult& result, const std::optional<NetworkSummary>& network,
                 Page& page) {
  if (!network) return page.field("network", result.network);
  const auto traffic = [](const NetworkHost& host) {
    return counted(host.connections, "connection") + ", " + format_bytes_rounded(host.bytes_up) +
           " up, " + format_bytes_rounded(host.bytes_down) + " down";
  };
  const auto times = [](std::uint64_t count, const NetworkHost& host) {
    return counted(count, "time") + (host.reason.empty() ? "" : ": " + host.reason);
  };
  const NetworkHost& total = network->total;
  page.field("network", result.network + ": " + traffic(total) + "; " +
                            std::to_string(total.denied) + " denied, " +
                            std::to_string(total.failed) + " failed" +
                            (network->complete ? "" : " (not complete: there were more)"));
  add_hosts(
      *network, "reached", [](const NetworkHost& host) { return host.connections; }, traffic, page);
  add_hosts(
      *network, "denied", [](const NetworkHost& host) { return host.denied; },
      [&](const NetworkHost& host) { return times(host.denied, host); }, page);
  add_hosts(
      *network, "failed", [](const NetworkHost& host) { return host.failed; },
      [&](const NetworkHost& host) { return times(host.failed, host); }, page);
}

void add_work(const JobResult& result, const JobWork& work, Page& page) {
  if (work.where == "nothing") return page.field("work", "none is kept: nothing changed");
  if (!result.pushed_ref.empty())
    page.field("pushed", result.pushed_ref + " at " + result.pushed_sha);
  page.field("bundle", result.bundle.string());
  page.field("patch", result.patch.string());
  if (const auto& kept = work.workspace) {
    page.field("workspace", kept->path + (kept->only_copy ? " (the only copy of the work)" : ""));
    page.field("root", kept->root);
  }
  for (const NextStep& step : work.steps) page.line("  " + step.does + ":  " + step.command);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::string result_headline(const JobResult& result) {
  std::string text = status_words(result) + " in " + took(result);
  text += result.changes.empty() && result.commit.empty()
              ? ", nothing changed"
              : ", " + counted(result.changes.size(), "file") + " changed";
  if (!result.pushed_ref.empty())
    text +=
        ", pushed to " + result.pushed_ref + " (" + result.pushed_sha.substr(0, short_commit) + ")";
  return plain(text);
}

std::string exec_summary(const JobResult& result, const Job& job) {
  Page page;
  page.line(result_headline(result));
  if (!result.message.empty()) page.line(result.message);
  // Where the changes are, and how to go on from there, has been the log's last word.
  if (job.publish.mode == PublishMode::none && result.status == JobStatus::success &&
      !result.bundle.empty())
    page.line("dry run: nothing was pushed, the changes are kept");
  if (!result.log.empty())
    page.line("log: " + result.log.string() + (result.log_truncated ? " (cut at its limit)" : ""));
  return page.take();
}

std::string result_details(const JobResult& result, const std::optional<NetworkSummary>& network,
                           const JobWork& work) {
  Page page;
  page.field("job", result.id);
  page.field("status", status_words(result));
  page.field("message", result.message);
  page.field("started", format_timestamp(result.started_at) + ", took " + took(result));
  page.field("project", result.project);
  page.field("flow", result.flow_path);
  page.field("image",
             result.image_name + (result.image_digest.empty() ? "" : " ") + result.image_digest);
  page.field("base", result.base);
  page.field("commit", result.commit);
  page.field("token", result.token_used);
  page.field("layers", joined(result.layers));
  page.field("missing", joined(result.missing_layers));
  add_phases(result.timings, page);
  add_network(result, network, page);
  page.field("log", result.log.string());
  for (const std::string& warning : result.warnings) page.field("warning", warning);
  page.field("changes", result.changes.empty() ? "none" : counted(result.changes.size(), "file"));
  add_changes(result, page);
  add_work(result, work, page);
  return page.take();
}

nlohmann::json result_document(const JobResult& result,
                               const std::optional<NetworkSummary>& network, const JobWork& work) {
  nlohmann::json document = flow_runner::to_json(result);
  document["network_use"] = network ? flow_runner::to_json(*network) : nlohmann::json();
  document["work"] = to_json(work);
  return document;
}

std::string age_text(std::chrono::system_clock::duration age) {
  using namespace std::chrono;
  const auto text = [](auto count, std::string_view unit) {
    return counted(static_cast<std::size_t>(count), unit) + " ago";
  };
  if (age < minutes(1)) return "just now";
  if (age < hours(1)) return text(age / minutes(1), "minute");
  if (age < days(1)) return text(age / hours(1), "hour");
  return text(age / days(1), "day");
}

}  // namespace flow_runner::cli
