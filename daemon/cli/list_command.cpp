#include <algorithm>
#include <chrono>
#include <unistd.h>

#include "daemon/cli/console.hpp"
#include "daemon/cli/job_commands.hpp"
#include "daemon/cli/result_view.hpp"
#include "daemon/cli/terminal_text.hpp"
#include "executor/executor_client.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;

namespace {

struct Row {
  std::string id, status, age, changes, outcome, project;
};

std::string outcome_of(const JobResult& result) {
  if (!result.pushed_ref.empty()) return "pushed to " + result.pushed_ref;
  if (!result.bundle.empty()) return "kept";
  return "-";
}

Row row_of(const JobDirectory& directory, std::chrono::system_clock::time_point now) {
  Row row{directory.id(), "running", "-", "-", "-", "-"};
  if (const auto job = directory.read_job()) {
    row.project = job->repository.project_path;
    row.age = age_text(now - job->queued_at);
  }
  const auto result = directory.read_result();
  if (!result) {
    row.status = "unreadable";
  } else if (*result) {
    row.status = to_string((*result)->status);
    row.age = age_text(now - (*result)->finished_at);
    row.changes = std::to_string((*result)->changes.size());
    row.outcome = outcome_of(**result);
    row.project = (*result)->project;
  } else if (const auto lock = directory.try_lock(); lock && *lock) {
    row.status = "dead";
  }
  return row;
}

std::string table_of(std::vector<Row> rows) {
  rows.insert(rows.begin(), {"ID", "STATUS", "AGE", "CHANGES", "RESULT", "PROJECT"});
  std::string Row::*const columns[] = {&Row::id,      &Row::status,  &Row::age,
                                       &Row::changes, &Row::outcome, &Row::project};
  for (const auto column : columns) {
    std::size_t width = 0;
    for (Row& row : rows) {
      row.*column = terminal_text(row.*column, TerminalColours::removed);
      width = std::max(width, (row.*column).size());
    }
    if (column == &Row::project) break;
    for (Row& row : rows) (row.*column).resize(width + 2, ' ');
  }
  std::string text;
  for (const Row& row : rows) {
    for (const auto column : columns) text += row.*column;
    text += "\n";
  }
  return text;
}

asio::awaitable<int> list(const ListArguments& arguments, Cancellation& cancellation) {
  const auto state = open_state(arguments.state_dir);
  if (!state) co_return print_error(state.error());
  if (const auto salvaged = co_await salvage_dead_jobs(*state, cancellation); !salvaged)
    print_error(salvaged.error());
  const auto jobs = list_jobs(*state);
  if (!jobs) co_return print_error(jobs.error());
  if (jobs->empty()) {
    print(STDERR_FILENO, "no jobs in " + state->root.string() + "\n");
    co_return exit_success;
  }
  std::vector<Row> rows;
  const auto now = std::chrono::system_clock::now();
  for (const JobDirectory& job : *jobs) rows.push_back(row_of(job, now));
  print(STDOUT_FILENO, table_of(std::move(rows)));
  co_return exit_success;
}

}  // namespace

int list_command(const ListArguments& arguments) {
  return run_interruptible(
      [&](Cancellation& cancellation) { return list(arguments, cancellation); }, {});
}

}  // namespace flow_runner::cli
