#include "executor/kept_changes.hpp"

#include <stdlib.h>
#include <system_error>
#include <utility>

#include "executor/remove_tree.hpp"
#include "executor/repository_cache.hpp"
#include "executor/repository_folder.hpp"

namespace flow_runner {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

Error nothing_kept(const JobResult& result) {
  std::string reason = "the job " + result.id + " kept no changes";
  if (!result.pushed_ref.empty())
    reason += ": they were pushed to " + result.pushed_ref + ", `git fetch` brings them";
  else if (result.commit.empty())
    reason += ": it changed nothing";
  return {ErrorCode::not_found, reason};
}

Error base_is_gone(const JobResult& result) {
  std::string message = "the commit " + result.base + ", on which the changes of job " + result.id +
                        " build, is no longer in the state folder; the changes are still in " +
                        result.bundle.string();
  if (!result.patch.empty())
    message += ", and " + result.patch.string() +
               " shows them (`git apply` takes it, unless something in it is masked)";
  return {ErrorCode::not_found, message};
}

// A repository that holds nothing but a ref at base: git connects a bundle to refs only.
Result<void> make_repository(const fs::path& folder, const fs::path& mirror,
                             const std::string& base) {
  std::error_code error;
  for (const char* name : {"objects/info", "refs/heads"}) {
    fs::create_directories(folder / name, error);
    if (error) return Error{ErrorCode::internal, "cannot make " + (folder / name).string()};
  }
  FR_CHECK(replace_file(folder / "HEAD", "ref: refs/heads/none\n", 0600));
  FR_CHECK(replace_file(folder / "config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
                        0600));
  FR_CHECK(replace_file(folder / "refs/heads/base", base + "\n", 0600));
  FR_CHECK(
      replace_file(folder / "objects/info/alternates", (mirror / "objects").string() + "\n", 0600));
  const auto shallow = read_file(mirror / "shallow", 16 << 20);
  if (shallow) FR_CHECK(replace_file(folder / "shallow", *shallow, 0600));
  return {};
}

}  // namespace

KeptChanges::KeptChanges(KeptChanges&& other) noexcept
    : lock_(std::move(other.lock_)),
      job_(std::move(other.job_)),
      result_(std::move(other.result_)),
      repository_(std::exchange(other.repository_, fs::path())),
      mirror_(std::move(other.mirror_)) {}

KeptChanges::~KeptChanges() {
  if (!repository_.empty()) [[maybe_unused]]
    const auto removed = remove_tree(repository_);
}

asio::awaitable<Result<KeptChanges>> KeptChanges::open(StateDirectory state, JobDirectory directory,
                                                       GitContext context,
                                                       Cancellation& cancellation) {
  FR_CO_TRY(auto lock, directory.try_lock());
  if (!lock)
    co_return Error{ErrorCode::unavailable, "the job " + directory.id() +
                                                " is in use: it still runs, or another command "
                                                "works on its changes"};
  FR_CO_TRY(auto result, directory.read_result());
  if (!result)
    co_return Error{ErrorCode::unavailable, "the job " + directory.id() +
                                                " did not finish; the next `flow-runner list` "
                                                "takes its changes out of its workspace"};
  if (result->bundle.empty()) co_return nothing_kept(*result);
  FR_CO_TRY(Job job, directory.read_job());
  KeptChanges kept(std::move(*lock), std::move(job), std::move(*result));
  // The folder may have been moved as a whole since the result was written.
  kept.result_.bundle = directory.bundle_file();

  const RepositoryCache cache(state.repositories());
  kept.mirror_ =
      RepositoryFolder(cache.folder(kept.job_.source, kept.job_.repository.url)).mirror();
  std::error_code error;
  if (!fs::exists(kept.mirror_ / "objects", error)) co_return base_is_gone(kept.result_);
  std::string name = (directory.path() / "opened-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) co_return errno_error("cannot make " + name);
  kept.repository_ = name;
  FR_CO_CHECK(make_repository(kept.repository_, kept.mirror_, kept.result_.base));

  GitCommand has_base;
  has_base.arguments = {"cat-file", "-e", kept.result_.base + "^{commit}"};
  has_base.git_dir = kept.repository_;
  FR_CO_TRY(const RunOutput found, co_await run_git(std::move(has_base), context, cancellation));
  if (!found.status.success()) co_return base_is_gone(kept.result_);
  GitCommand unbundle;
  unbundle.arguments = {"bundle", "unbundle", kept.result_.bundle.string()};
  unbundle.git_dir = kept.repository_;
  unbundle.deadline = std::chrono::minutes(5);
  FR_CO_CHECK(co_await run_git_checked(std::move(unbundle), context, cancellation));
  co_return std::move(kept);
}

}  // namespace flow_runner
