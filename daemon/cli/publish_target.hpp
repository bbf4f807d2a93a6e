// Publish target: where `flow-runner publish` may bring kept changes, and when it needs an explicit
// word.
#pragma once

#include <string>
#include <vector>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/job_directory.hpp"
#include "executor/job_result.hpp"
#include "executor/remote_url.hpp"

namespace flow_runner::cli {

struct PublishTarget {
  RemoteUrl url;
  PublishSpec spec;  ///< mode, url and workload_ref as they are to be used
};

/// `to` and `workload_ref` empty: as the job said. Pure but for a look at the local folder.
Result<PublishTarget> publish_target(const Job& job, const std::string& to,
                                     const std::string& workload_ref, TokenGiven token);

/// Why these changes may not be pushed without the person's explicit word; empty: they may. The
/// journal tells of a refusal by `refusal` in its `kept` entry.
std::string guard_objection(const Job& job, const JobResult& result,
                            const std::vector<JournalEntry>& journal);

}  // namespace flow_runner::cli
