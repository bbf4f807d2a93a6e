// ExecView: shows a running job on standard error.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

#include "daemon/cli/terminal.hpp"
#include "executor/executor_client.hpp"
#include "sandbox/alarm.hpp"

namespace flow_runner::cli {

/// Turns what the executor says into a Terminal's bytes and writes them. One thread.
class ExecView {
 public:
  /// `verbose` 1 adds the journal, the job's id and all progress.
  explicit ExecView(int verbose);

  void start(boost::asio::any_io_executor executor, const std::string& job_id);
  /// Callbacks that refer to this view.
  [[nodiscard]] ExecutorEvents events();
  void line(std::string_view text);
  /// The person pressed Ctrl-C for the count-th time.
  void interrupted(int count);
  void finish(PhaseEnd end);
  /// The terminal is somebody else's: what is to be shown waits (64 KiB of it; the log has the
  /// rest).
  void suspend();
  void resume();

 private:
  void on_journal(const JournalEntry& entry);
  void on_progress(const nlohmann::json& progress);
  void tick();
  void show(std::string_view text);

  Terminal terminal_;
  int verbose_;
  bool failure_shown_ = false;
  bool suspended_ = false;
  std::string waiting_;
  std::unique_ptr<Alarm> alarm_;
};

}  // namespace flow_runner::cli
