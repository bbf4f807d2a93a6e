// JobDirectory: the files of one job under <state>/jobs/<id>/, from which all about it can be
// rebuilt.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/job_result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// The paths below the state folder that everybody agrees on.
struct StateDirectory {
  std::filesystem::path root;  ///< absolute

  [[nodiscard]] std::filesystem::path jobs() const { return root / "jobs"; }
  [[nodiscard]] std::filesystem::path repositories() const { return root / "repositories"; }
  [[nodiscard]] std::filesystem::path images() const { return root / "images"; }

  /// Makes the folders (0700; the parent chain as needed) and checks that root is writable.
  static Result<StateDirectory> open(const std::filesystem::path& root);
};

/// `$XDG_STATE_HOME/flow-runner` (or ~/.local/state/flow-runner) for an ordinary user,
/// /var/lib/flow-runner for root.
std::filesystem::path default_state_directory();

/// One line of journal.jsonl: a transition of the job, with what recovery needs to know after it.
struct JournalEntry {
  /// accepted image workspace sandbox script script_ended changes publish kept workspace_kept
  /// shell shell_ended finished
  std::string state;
  std::chrono::system_clock::time_point at;
  nlohmann::json data = nlohmann::json::object();  ///< masked, no secrets
};

/// One line of journal.jsonl without its newline; absent: it is none (torn by a crash).
std::optional<JournalEntry> parse_journal_line(std::string_view line);

/// Paths are fixed; files appear as the job goes on. The lock is an flock on `lock`, held by the
/// executor while it lives; whoever sweeps takes it first.
class JobDirectory {
 public:
  explicit JobDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string id() const { return path_.filename(); }
  [[nodiscard]] std::filesystem::path job_file() const { return path_ / "job.json"; }
  [[nodiscard]] std::filesystem::path journal_file() const { return path_ / "journal.jsonl"; }
  [[nodiscard]] std::filesystem::path log_file() const { return path_ / "log"; }
  [[nodiscard]] std::filesystem::path network_file() const { return path_ / "network.jsonl"; }
  [[nodiscard]] std::filesystem::path result_file() const { return path_ / "result.json"; }
  [[nodiscard]] std::filesystem::path bundle_file() const { return path_ / "changes.bundle"; }
  [[nodiscard]] std::filesystem::path patch_file() const { return path_ / "changes.patch"; }
  [[nodiscard]] std::filesystem::path lock_file() const { return path_ / "lock"; }
  [[nodiscard]] std::filesystem::path overlay() const { return path_ / "overlay"; }
  /// What is being removed: nothing in it counts any more.
  [[nodiscard]] std::filesystem::path removing() const { return path_ / "removing"; }
  [[nodiscard]] std::filesystem::path quarantine() const { return path_ / "quarantine"; }

  /// Creates <jobs>/<id> (0700) with job.json (no secrets) and the lock held; exists already:
  /// internal.
  static Result<std::pair<JobDirectory, Descriptor>> create(const StateDirectory& state,
                                                            const Job& job);
  /// The lock, if nobody holds it; absent: somebody does.
  [[nodiscard]] Result<std::optional<Descriptor>> try_lock() const;

  /// Appends one line and fsyncs it, unless the job's next line, which follows at once, does it.
  Result<void> append_journal(const JournalEntry& entry) const;
  /// All complete lines; a torn last line (crash) is left out.
  [[nodiscard]] Result<std::vector<JournalEntry>> read_journal() const;

  Result<void> write_result(const JobResult& result) const;
  /// Absent: not finished.
  [[nodiscard]] Result<std::optional<JobResult>> read_result() const;
  [[nodiscard]] Result<Job> read_job() const;

 private:
  std::filesystem::path path_;
};

/// All job directories, newest first.
Result<std::vector<JobDirectory>> list_jobs(const StateDirectory& state);

}  // namespace flow_runner
