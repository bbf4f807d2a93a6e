#include "daemon/cli/exec_view.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <unistd.h>
#include <utility>

#include "daemon/cli/console.hpp"

namespace flow_runner::cli {

namespace {

constexpr std::array<std::string_view, 6> phases{"image",  "workspace", "sandbox",
                                                 "script", "changes",   "publish"};

constexpr std::size_t max_waiting = 64 << 10;

template <class T>
T value_or(const nlohmann::json& object, const char* key, T otherwise) {
  const auto found = object.find(key);
  if (found == object.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>)
    return found->is_string() ? found->template get<T>() : otherwise;
  else
    return found->is_number() ? found->template get<T>() : otherwise;
}

}  // namespace

ExecView::ExecView(int verbose)
    : terminal_(terminal_style(STDERR_FILENO), [] { return std::chrono::steady_clock::now(); }),
      verbose_(verbose) {}

void ExecView::start(boost::asio::any_io_executor executor, const std::string& job_id) {
  if (verbose_ > 0) line("job " + job_id);
  alarm_ = std::make_unique<Alarm>(executor);
  if (terminal_.style().live) tick();
}

ExecutorEvents ExecView::events() {
  return {.on_log = [this](std::string_view bytes) { show(terminal_.output(bytes)); },
          .on_journal = [this](const JournalEntry& entry) { on_journal(entry); },
          .on_progress = [this](const nlohmann::json& progress) { on_progress(progress); }};
}

void ExecView::line(std::string_view text) { show(terminal_.line(text)); }

void ExecView::interrupted(int count) {
  if (count == 1) line("stopping; what the job changed is kept (Ctrl-C again: kill it now)");
  if (count == 2) line("killing the job");
}

void ExecView::finish(PhaseEnd end) {
  alarm_.reset();
  // The phase that failed has been shown as such; what follows it did its own work well.
  show(terminal_.end_phase(failure_shown_ ? PhaseEnd::good : end));
}

void ExecView::on_journal(const JournalEntry& entry) {
  if (verbose_ > 0)
    line("journal: " + entry.state + " " +
         entry.data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  if (std::find(phases.begin(), phases.end(), entry.state) != phases.end())
    show(terminal_.begin_phase(entry.state));
  if (entry.state != "script_ended") return;
  const bool good = value_or(entry.data, "exit_code", 0) == 0;
  failure_shown_ = !good;
  show(terminal_.end_phase(good ? PhaseEnd::good : PhaseEnd::bad));
}

void ExecView::on_progress(const nlohmann::json& progress) {
  const Progress told{.text = value_or(progress, "text", std::string()),
                      .done = value_or<std::uint64_t>(progress, "done", 0),
                      .total = value_or<std::uint64_t>(progress, "total", 0)};
  if (verbose_ > 0 && !terminal_.style().live)
    line(told.text);
  else
    show(terminal_.progress(told));
}

void ExecView::show(std::string_view text) {
  if (!suspended_) return print(STDERR_FILENO, text);
  if (waiting_.size() + text.size() <= max_waiting) waiting_ += text;
}

void ExecView::suspend() {
  show(terminal_.end_phase(PhaseEnd::good));
  suspended_ = true;
}

void ExecView::resume() {
  suspended_ = false;
  show(std::exchange(waiting_, std::string()));
}

void ExecView::tick() {
  if (!suspended_) show(terminal_.tick());
  alarm_->set(std::chrono::seconds(1), [this] { tick(); });
}

}  // namespace flow_runner::cli
