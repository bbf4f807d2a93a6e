#include "executor/local_publication.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

bool has_line(std::string_view text, std::string_view line) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (text.substr(0, end) == line) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

/// Empty: nothing stands in the way. A branch that a person has before them must not change under
/// them.
asio::awaitable<Result<std::string>> obstacle(GitCommand command, std::string ref,
                                              const GitContext& context,
                                              Cancellation& cancellation) {
  GitCommand list = command;
  list.arguments = {"worktree", "list", "--porcelain"};
  FR_CO_TRY(const std::string trees,
            co_await run_git_checked(std::move(list), context, cancellation));
  if (has_line(trees, "branch " + ref))
    co_return "is checked out there: switch to another branch, or name another ref for the changes";
  GitCommand symbolic = command;
  symbolic.arguments = {"symbolic-ref", "--quiet"};
  symbolic.arguments.push_back(ref);
  FR_CO_TRY(const RunOutput output, co_await run_git(std::move(symbolic), context, cancellation));
  co_return output.status.success() ? "is a symbolic ref there: name another one" : "";
}

}  // namespace

asio::awaitable<Result<PushReport>> set_local_ref(RemoteUrl repository, fs::path from,
                                                  std::string ref, std::string commit,
                                                  std::optional<std::string> old_value,
                                                  const GitContext& context,
                                                  Cancellation& cancellation,
                                                  std::chrono::milliseconds deadline) {
  GitCommand base;
  base.git_dir = local_git_folder(repository.path);
  base.deadline = deadline;
  FR_CO_TRY(const std::string reason, co_await obstacle(base, ref, context, cancellation));
  if (!reason.empty()) co_return Error{ErrorCode::denied, ref + " " + reason};

  GitCommand fetch = base;
  fetch.remote = RemoteUrl{RemoteUrl::Kind::local, {}, 0, from.string()};
  fetch.arguments = {"fetch",
                     "--no-tags",
                     "--no-write-fetch-head",
                     "--no-auto-maintenance",
                     "--no-recurse-submodules",
                     "--update-shallow"};
  fetch.arguments.push_back(from.string());
  fetch.arguments.push_back(commit);
  FR_CO_CHECK(co_await run_git_checked(std::move(fetch), context, cancellation));

  GitCommand update = base;
  update.arguments = {"update-ref", "--no-deref", "-m", "flow-runner: changes of a job"};
  update.arguments.push_back(ref);
  update.arguments.push_back(commit);
  // Forty zeros: the ref must not exist.
  update.arguments.push_back(old_value.value_or(std::string(40, '0')));
  const std::string what = describe(update);
  FR_CO_TRY(const RunOutput output, co_await run_git(std::move(update), context, cancellation));
  if (output.status.success()) co_return PushReport{PushAnswer::accepted, {}};
  for (const char* phrase :
       {"but expected", "reference already exists", "unable to resolve reference"})
    if (output.stderr_text.find(phrase) != std::string::npos)
      co_return PushReport{PushAnswer::moved, {}};
  co_return git_failure(what, output.status.code, output.stderr_text, context.sanitize);
}

}  // namespace flow_runner
