// Result view: a job's result in words, for a person.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "config/job.hpp"
#include "daemon/cli/job_work.hpp"
#include "executor/job_result.hpp"
#include "executor/network_summary.hpp"

namespace flow_runner::cli {

/// How a job ended, in one line: `success in 12s: 3 files changed, pushed to refs/heads/…`.
std::string result_headline(const JobResult& result);

/// What `exec` says at the end: headline, message, where things are, and the commands that go on
/// from there. Lines, each with its newline; no control characters.
std::string exec_summary(const JobResult& result, const Job& job);

/// What `show` prints: how it ended, phases, network, changes, and where the work is. Lines without
/// control characters, whatever the job wrote.
std::string result_details(const JobResult& result, const std::optional<NetworkSummary>& network,
                           const JobWork& work);

/// What `show --json` prints: the result, and beside its keys `network_use` (null: no proxy) and
/// `work`.
nlohmann::json result_document(const JobResult& result,
                               const std::optional<NetworkSummary>& network, const JobWork& work);

/// `3 minutes ago`, for a list.
std::string age_text(std::chrono::system_clock::duration age);

}  // namespace flow_runner::cli
