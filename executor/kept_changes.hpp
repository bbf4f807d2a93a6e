// KeptChanges: the bundle of a finished job made readable again, for `apply` and `publish`.
#pragma once

#include <filesystem>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/git_command.hpp"
#include "executor/job_directory.hpp"
#include "executor/job_result.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// Holds the job's lock, so that nobody prunes it meanwhile, and a repository of its own beside the
/// bundle, which goes when this does.
class KeptChanges {
 public:
  /// Unpacks the bundle into a bare repository whose only alternate is the job's mirror.
  /// unavailable: the job runs; not_found: it kept no changes, or the commit that they build on is
  /// no longer here; the message says what is left to do.
  static boost::asio::awaitable<Result<KeptChanges>> open(StateDirectory state,
                                                          JobDirectory directory,
                                                          GitContext context,
                                                          Cancellation& cancellation);
  KeptChanges(KeptChanges&& other) noexcept;
  KeptChanges& operator=(KeptChanges&&) = delete;
  ~KeptChanges();

  [[nodiscard]] const Job& job() const noexcept { return job_; }  ///< without secrets
  [[nodiscard]] const JobResult& result() const noexcept { return result_; }
  [[nodiscard]] const std::filesystem::path& repository() const noexcept { return repository_; }
  [[nodiscard]] const std::filesystem::path& mirror() const noexcept { return mirror_; }

 private:
  KeptChanges(Descriptor lock, Job job, JobResult result)
      : lock_(std::move(lock)), job_(std::move(job)), result_(std::move(result)) {}

  Descriptor lock_;
  Job job_;
  JobResult result_;
  std::filesystem::path repository_, mirror_;
};

}  // namespace flow_runner
