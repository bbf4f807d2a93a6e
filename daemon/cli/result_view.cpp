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

std::string timings_text(const JobTimings& timings) {
  const std::array<std::pair<const char*, std::optional<std::int64_t>>, 8> phases{{
      {"queue", timings.queue_ms},
      {"image", timings.image_ms},
      {"workspace", timings.workspace_ms},
      {"sandbox", timings.sandbox_ms},
      {"script", timings.script_ms},
      {"changes", timings.changes_ms},
      {"publish", timings.publish_ms},
      {"total", timings.total_ms},
  }};
  std::string text;
  for (const auto& [name, ms] : phases) {
    if (!ms) continue;
    if (!text.empty()) text += ", ";
    text += std::string(name) + " " + format_duration_rounded(milliseconds(*ms));
  }
  return text;
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

std::string result_details(const JobResult& result) {
  Page page;
  page.field("job", result.id);
  page.field("status", status_words(result));
  page.field("message", result.message);
  page.field("started", format_timestamp(result.started_at) + ", took " + took(result));
  page.field("project", result.project);
  page.field("flow", result.flow_path);
  page.field("image",
             result.image_name + (result.image_digest.empty() ? "" : " ") + result.image_digest);
  page.field("network", result.network);
  page.field("base", result.base);
  page.field("commit", result.commit);
  if (!result.pushed_ref.empty())
    page.field("pushed", result.pushed_ref + " at " + result.pushed_sha);
  page.field("token", result.token_used);
  page.field("layers", joined(result.layers));
  page.field("timings", timings_text(result.timings));
  page.field("log", result.log.string());
  page.field("bundle", result.bundle.string());
  page.field("patch", result.patch.string());
  for (const std::string& warning : result.warnings) page.field("warning", warning);
  page.field("changes", result.changes.empty() ? "none" : counted(result.changes.size(), "file"));
  add_changes(result, page);
  return page.take();
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
