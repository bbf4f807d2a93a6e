#include "executor/publication.hpp"

#include <algorithm>

#include "config/quoted_path.hpp"
#include "config/ref_name.hpp"
#include "executor/git_protocol.hpp"
#include "executor/git_worker.hpp"
#include "executor/local_publication.hpp"
#include "executor/push_report.hpp"
#include "executor/transfer_repository.hpp"

namespace flow_runner {
namespace {

using std::chrono::steady_clock;
constexpr int max_replays = 3;
constexpr std::size_t max_named_conflicts = 10;
constexpr std::string_view kept_advice = "; the changes are kept";
constexpr std::string_view published_ref = "refs/flow-runner/head";
constexpr std::string_view base_ref = "refs/flow-runner/base";

/// One publication: what its steps share.
struct Work {
  const PublicationRequest& request;
  const GitContext& context;
  Cancellation& cancellation;
  RemoteUrl url;
  TransferRepository transfer;
  steady_clock::time_point deadline;
  std::string head;  ///< what is to be published: the request's, or its replayed form
  bool push_options = true;
  PublicationOutcome outcome;

  [[nodiscard]] std::chrono::milliseconds time_left() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
  }
  [[nodiscard]] GitCommand command(std::vector<std::string> arguments) const {
    GitCommand git;
    git.arguments = std::move(arguments);
    git.git_dir = transfer.path();
    git.deadline = time_left();
    return git;
  }
  [[nodiscard]] GitCommand remote_command(std::vector<std::string> arguments) const {
    GitCommand git = command(std::move(arguments));
    git.remote = url;
    git.credential = request.credential;
    return git;
  }
  [[nodiscard]] std::string target() const { return request.ref + " of " + printable(url.text()); }
};

/// git merge-base --is-ancestor and cat-file -e answer by exit code: 0 yes, 1 no.
asio::awaitable<Result<bool>> ask(Work& work, std::vector<std::string> arguments) {
  GitCommand command = work.command(std::move(arguments));
  const std::string what = describe(command);
  FR_CO_TRY(const RunOutput output,
            co_await run_git(std::move(command), work.context, work.cancellation));
  if (output.status.success()) co_return true;
  if (output.status.code == 1) co_return false;
  co_return git_failure(what, output.status.code, output.stderr_text, work.context.sanitize);
}

asio::awaitable<Result<bool>> is_ancestor(Work& work, std::string ancestor,
                                          std::string descendant) {
  std::vector<std::string> arguments = {"merge-base", "--is-ancestor"};
  arguments.push_back(std::move(ancestor));
  arguments.push_back(std::move(descendant));
  co_return co_await ask(work, std::move(arguments));
}

/// Where the ref stands. Absent: it does not exist.
asio::awaitable<Result<std::optional<std::string>>> read_tip(Work& work) {
  const std::vector<std::string> names(1, work.request.ref);
  FR_CO_TRY(const RemoteRefs refs,
            co_await list_remote(work.url, work.request.credential, names, work.context,
                                 work.cancellation, work.time_left()));
  co_return refs.find(work.request.ref);
}

/// Brings a commit that the ref holds into the quarantine, where the git worker sees it.
asio::awaitable<Result<void>> fetch_tip(Work& work, std::string tip) {
  std::vector<std::string> question = {"cat-file", "-e"};
  question.push_back(tip + "^{commit}");
  GitCommand look = work.command(std::move(question));
  FR_CO_TRY(const RunOutput known,
            co_await run_git(std::move(look), work.context, work.cancellation));
  if (known.status.success()) co_return Result<void>();
  std::vector<std::string> arguments = {"fetch", "--no-tags", "--no-write-fetch-head",
                                        "--no-auto-maintenance", "--no-recurse-submodules"};
  arguments.push_back(work.url.text());
  arguments.push_back(std::move(tip));
  GitCommand fetch = work.remote_command(std::move(arguments));
  fetch.object_directory = work.transfer.object_directory();
  FR_CO_CHECK(co_await run_git_checked(std::move(fetch), work.context, work.cancellation));
  co_return Result<void>();
}

Error conflict_error(const Work& work, const ReplayInfo& info) {
  std::string paths;
  for (std::size_t i = 0; i < std::min(info.conflicts.size(), max_named_conflicts); ++i)
    paths += (i > 0 ? ", " : "") + quote_path(info.conflicts[i]);
  if (info.conflicts.size() > max_named_conflicts)
    paths += " and " + std::to_string(info.conflicts.size() - max_named_conflicts) + " more";
  std::string reason = paths.empty() ? "the job's commits cannot be put on top of it"
                                     : "the job's commits conflict with it in " + paths;
  if (!info.reason.empty()) reason += " (" + printable(info.reason) + ")";
  return {ErrorCode::invalid_input, work.target() + " holds other commits, and " + reason +
                                        ": merge them by hand" + std::string(kept_advice)};
}

/// Puts the job's commits on top of `tip`.
asio::awaitable<Result<void>> replay(Work& work, std::string tip) {
  if (work.outcome.replays == max_replays)
    co_return Error{ErrorCode::unavailable,
                    work.target() + " moved " + std::to_string(max_replays) +
                        " times while the changes were being published; try "
                        "again" +
                        std::string(kept_advice)};
  ++work.outcome.replays;
  const ReplayRequest request{work.request.quarantine, work.request.base, work.request.head, tip};
  GitWorkerOptions options;
  options.program = work.request.git_worker;
  options.deadline = std::max(work.time_left(), std::chrono::milliseconds(1));
  nlohmann::json question = to_json(request);
  FR_CO_TRY(const nlohmann::json answer,
            co_await run_git_worker("replay", std::move(question), options, work.cancellation));
  FR_CO_TRY(const ReplayInfo info, from_json<ReplayInfo>(answer));
  if (info.head.empty()) co_return conflict_error(work, info);
  if (!is_commit_id(info.head))
    co_return Error{ErrorCode::internal,
                    "the git worker answered with something that is no commit"};
  FR_CO_CHECK(work.transfer.check_objects());
  FR_CO_CHECK(work.transfer.set_refs(
      {{std::string(published_ref), info.head}, {std::string(base_ref), work.request.base}}));
  FR_CO_TRY(const bool on_top, co_await is_ancestor(work, tip, info.head));
  if (!on_top)
    co_return Error{ErrorCode::internal, "the replayed commits are not on top of " + work.target()};
  work.head = info.head;
  work.outcome.warnings.push_back(
      work.request.ref + " held other commits: the job's were put on top of " + tip.substr(0, 12));
  co_return Result<void>();
}

asio::awaitable<Result<PushReport>> push(Work& work, std::optional<std::string> tip) {
  std::vector<std::string> arguments = {
      "push",        "--porcelain",      "--no-verify",
      "--no-signed", "--no-follow-tags", "--no-recurse-submodules"};
  // Never a real force: the new value descends from the old one, and the old one must still be
  // there.
  arguments.push_back("--force-with-lease=" + work.request.ref + ":" + tip.value_or(""));
  if (work.request.skip_pipelines && work.push_options)
    arguments.emplace_back("--push-option=ci.skip");
  arguments.push_back(work.url.text());
  arguments.push_back(work.head + ":" + work.request.ref);
  GitCommand command = work.remote_command(std::move(arguments));
  const std::string what = describe(command);
  FR_CO_TRY(const RunOutput output,
            co_await run_git(std::move(command), work.context, work.cancellation));
  PushReport report =
      read_push(work.request.ref, output.status.code, output.stdout_text, output.stderr_text);
  if (report.answer == PushAnswer::accepted || report.answer == PushAnswer::moved ||
      report.answer == PushAnswer::no_push_options)
    co_return report;
  Error error = git_failure(what, output.status.code, output.stderr_text, work.context.sanitize);
  if (report.answer == PushAnswer::refused) {
    error.code = ErrorCode::denied;
    error.message +=
        "; the server refused " + work.request.ref + ": " +
        printable(work.context.sanitize ? work.context.sanitize(report.reason) : report.reason);
  }
  error.message += kept_advice;
  co_return error;
}

/// One attempt to set the ref; the report says only accepted or moved.
asio::awaitable<Result<PushReport>> set_ref(Work& work, std::optional<std::string> tip) {
  if (work.url.local())
    co_return co_await set_local_ref(work.url, work.transfer.path(), work.request.ref, work.head,
                                     tip, work.context, work.cancellation, work.time_left());
  auto report = co_await push(work, tip);
  if (report && report->answer == PushAnswer::no_push_options) {
    work.push_options = false;
    work.outcome.warnings.emplace_back(
        "the server does not support push options: a pipeline may start for the published commits");
    report = co_await push(work, tip);
    if (report && report->answer == PushAnswer::no_push_options)
      co_return Error{ErrorCode::internal, "the server refuses push options that were not sent"};
  }
  co_return report;
}

/// Whether the ref, which stands at `tip`, holds the commits to publish.
asio::awaitable<Result<bool>> holds_head(Work& work, std::string tip) {
  if (tip == work.head) co_return true;
  FR_CO_CHECK(co_await fetch_tip(work, tip));
  co_return co_await is_ancestor(work, work.head, tip);
}

asio::awaitable<Result<void>> read_back(Work& work) {
  FR_CO_TRY(const auto tip, co_await read_tip(work));
  if (tip) {
    FR_CO_TRY(const bool there, co_await holds_head(work, *tip));
    if (there) co_return Result<void>();
    co_return Error{ErrorCode::unavailable, work.target() +
                                                " was changed by somebody else right after "
                                                "the changes were published" +
                                                std::string(kept_advice)};
  }
  if (work.request.ref.starts_with("refs/heads/"))
    co_return Error{ErrorCode::unavailable,
                    work.target() + " was accepted, but is not there" + std::string(kept_advice)};
  work.outcome.warnings.push_back("the server accepted " + work.request.ref +
                                  " but does not list it: it is a hidden ref");
  co_return Result<void>();
}

/// Goes round until the ref holds the commits; every further round either replays, which is
/// bounded, or follows a ref that moved, which is bounded here.
asio::awaitable<Result<void>> publish_commits(Work& work) {
  for (int round = 0; round <= max_replays + 1; ++round) {
    FR_CO_TRY(const auto tip, co_await read_tip(work));
    if (tip) {
      FR_CO_TRY(const bool there, co_await holds_head(work, *tip));
      if (there) {
        work.outcome.already_there = round == 0;
        co_return Result<void>();
      }
      FR_CO_TRY(const bool forward, co_await is_ancestor(work, *tip, work.head));
      if (!forward) {
        FR_CO_CHECK(co_await replay(work, *tip));
        // All of the job's changes are in the ref, under other commits.
        if (work.head == *tip) {
          work.outcome.already_there = true;
          co_return Result<void>();
        }
      }
    } else if (work.request.expected && round == 0) {
      work.outcome.warnings.push_back(work.request.ref +
                                      " was removed while the job ran: it is made again");
    }
    auto report = co_await set_ref(work, tip);
    if (!report) {
      // The answer may have been lost after the server had done it.
      const bool unsure = report.error().code == ErrorCode::unavailable ||
                          report.error().code == ErrorCode::timed_out;
      if (!unsure) co_return report.error();
      const auto now = co_await read_tip(work);
      if (now && *now && **now == work.head) co_return Result<void>();
      co_return report.error();
    }
    if (report->answer == PushAnswer::accepted) co_return co_await read_back(work);
  }
  co_return Error{ErrorCode::unavailable,
                  work.target() +
                      " kept moving while the changes were being published; "
                      "try again" +
                      std::string(kept_advice)};
}

Result<void> check_request(const PublicationRequest& request, const RemoteUrl& url) {
  if (!is_commit_id(request.base) || !is_commit_id(request.head))
    return Error{ErrorCode::invalid_input, "a publication needs the full ids of its base and head"};
  FR_CHECK(check_full_ref(request.ref));
  if (request.mode == PublishMode::none || (request.mode == PublishMode::local && !url.local()))
    return Error{ErrorCode::invalid_input,
                 "changes cannot be published to " + printable(url.text()) + " in this mode"};
  return {};
}

}  // namespace

asio::awaitable<Result<PublicationOutcome>> publish(const PublicationRequest& request,
                                                    const GitContext& context,
                                                    Cancellation& cancellation) {
  const TokenGiven token = request.credential.token.empty() ? TokenGiven::no : TokenGiven::yes;
  FR_CO_TRY(RemoteUrl url, parse_remote_url(request.url, token));
  FR_CO_CHECK(check_request(request, url));
  FR_CO_TRY(TransferRepository transfer,
            TransferRepository::make(request.quarantine, request.mirror,
                                     {{std::string(published_ref), request.head},
                                      {std::string(base_ref), request.base}}));
  Work work{request,
            context,
            cancellation,
            url,
            std::move(transfer),
            steady_clock::now() + request.deadline,
            request.head,
            true,
            {}};
  work.outcome.ref = request.ref;
  FR_CO_TRY(const bool descends, co_await is_ancestor(work, request.base, request.head));
  if (!descends)
    co_return Error{ErrorCode::internal, "the changes do not descend from the job's base commit"};
  FR_CO_CHECK(co_await publish_commits(work));
  work.outcome.commit = work.head;
  co_return std::move(work.outcome);
}

}  // namespace flow_runner
