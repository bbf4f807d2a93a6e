// Result view: a job's result in words, for a person.
#pragma once

#include <chrono>
#include <string>

#include "config/job.hpp"
#include "executor/job_result.hpp"

namespace flow_runner::cli {

/// How a job ended, in one line: `success in 12s: 3 files changed, pushed to refs/heads/…`.
std::string result_headline(const JobResult& result);

/// What `exec` says at the end: headline, message, where things are, and the commands that go on
/// from there. Lines, each with its newline; no control characters.
std::string exec_summary(const JobResult& result, const Job& job);

/// What `show` prints.
std::string result_details(const JobResult& result);

/// `3 minutes ago`, for a list.
std::string age_text(std::chrono::system_clock::duration age);

}  // namespace flow_runner::cli
