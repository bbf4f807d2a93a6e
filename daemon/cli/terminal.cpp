#include "daemon/cli/terminal.hpp"

#include <algorithm>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/quoted_path.hpp"
#include "config/units.hpp"

namespace flow_runner::cli {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds draw_interval{100};
constexpr milliseconds tick_interval{1000};
constexpr milliseconds report_interval{10'000};
constexpr std::size_t bar_width = 20;
constexpr std::size_t name_width = 10;

constexpr std::string_view bold = "1", green = "32", red = "31", dim = "2";

std::string padded(std::string_view name) {
  std::string text(name);
  if (text.size() < name_width) text.append(name_width - text.size(), ' ');
  return text;
}

std::string one_line(std::string_view text) {
  std::string plain = terminal_text(text, TerminalColours::removed);
  for (char& c : plain)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  return plain;
}

std::string elapsed_text(steady_clock::duration elapsed) {
  return format_duration_rounded(std::chrono::duration_cast<milliseconds>(elapsed));
}

}  // namespace

TerminalStyle terminal_style(int fd) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  TerminalStyle style;
  style.live = ::isatty(fd) == 1 && variable("TERM") != "dumb";
  style.colours = style.live && variable("NO_COLOR").empty();
  winsize size{};
  if (style.live && ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    style.width = std::clamp<std::size_t>(size.ws_col, 20, 500);
  return style;
}

std::string progress_bar(std::uint64_t done, std::uint64_t total, std::size_t width) {
  const double share =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
}

Terminal::Terminal(TerminalStyle style, Clock clock)
    : style_(style),
      clock_(std::move(clock)),
      filter_(style.colours ? TerminalColours::kept : TerminalColours::removed) {
  phase_start_ = last_draw_ = last_report_ = clock_();
}

std::string Terminal::coloured(std::string_view code, std::string_view text) const {
  if (!style_.colours) return std::string(text);
  return "\x1B[" + std::string(code) + "m" + std::string(text) + "\x1B[0m";
}

std::string Terminal::status_line() const {
  std::string plain = "  " + padded(phase_) + " " + elapsed_text(clock_() - phase_start_);
  if (progress_) {
    if (progress_->total > 0)
      plain += " " + progress_bar(progress_->done, progress_->total, bar_width);
    if (!progress_->text.empty()) plain += " " + one_line(progress_->text);
  }
  // A line that wraps could not be taken back.
  return std::string(utf8_prefix(plain, style_.width - 1));
}

std::string Terminal::draw_status() {
  if (!style_.live || phase_.empty() || !at_line_start_) return {};
  last_draw_ = clock_();
  status_shown_ = true;
  return "\r\x1B[K" + coloured(dim, status_line());
}

std::string Terminal::instead_of_status(std::string text) {
  if (status_shown_) text.insert(0, "\r\x1B[K");
  status_shown_ = false;
  return text;
}

std::string Terminal::above_status(std::string text) {
  return instead_of_status(std::move(text)) + draw_status();
}

std::string Terminal::to_line_start() {
  std::string out = at_line_start_ ? "" : "\n";
  at_line_start_ = true;
  // The job may have left its own colour behind.
  if (output_shown_ && style_.colours) out += "\x1B[0m";
  output_shown_ = false;
  return out;
}

std::string Terminal::begin_phase(std::string_view name) {
  std::string out = end_phase(PhaseEnd::good);
  phase_ = name;
  phase_start_ = last_report_ = clock_();
  progress_.reset();
  return out + draw_status();
}

std::string Terminal::end_phase(PhaseEnd end) {
  if (phase_.empty()) return {};
  const std::string time = elapsed_text(clock_() - phase_start_);
  const std::string name = padded(phase_);
  phase_.clear();
  progress_.reset();
  const std::string mark = style_.live
                               ? (end == PhaseEnd::good ? coloured(green, "✓") : coloured(red, "✗"))
                               : std::string(end == PhaseEnd::good ? "==" : "!!");
  return above_status(to_line_start() + mark + " " + coloured(bold, name) + " " + time + "\n");
}

std::string Terminal::progress(const Progress& progress) {
  if (phase_.empty()) return {};
  progress_ = progress;
  const auto now = clock_();
  if (style_.live) return now - last_draw_ < draw_interval ? std::string() : draw_status();
  if (now - last_report_ < report_interval) return {};
  last_report_ = now;
  std::string text = phase_ + ": " + one_line(progress.text);
  if (progress.total > 0)
    text +=
        " " + std::to_string(100 * std::min(progress.done, progress.total) / progress.total) + " %";
  return line(text);
}

std::string Terminal::output(std::string_view bytes) {
  if (bytes.empty()) return {};
  std::string text;
  if (style_.live)
    filter_.write(bytes, text);
  else
    text = bytes;
  if (text.empty()) return {};
  at_line_start_ = text.back() == '\n';
  output_shown_ = true;
  text = instead_of_status(std::move(text));
  // A flood of lines must not draw the status line as often.
  if (clock_() - last_draw_ >= draw_interval) text += draw_status();
  return text;
}

std::string Terminal::line(std::string_view text) {
  return above_status(to_line_start() + one_line(text) + "\n");
}

std::string Terminal::tick() {
  if (!style_.live || clock_() - last_draw_ < tick_interval) return {};
  return draw_status();
}

}  // namespace flow_runner::cli
