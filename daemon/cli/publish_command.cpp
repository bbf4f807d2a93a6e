#include <chrono>
#include <system_error>
#include <unistd.h>

#include "config/ref_name.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/exec_inputs.hpp"
#include "daemon/cli/job_commands.hpp"
#include "daemon/cli/local_repository.hpp"
#include "daemon/cli/publish_target.hpp"
#include "executor/git_worker.hpp"
#include "executor/kept_changes.hpp"
#include "executor/masker.hpp"
#include "executor/publication.hpp"
#include "executor/publication_guard.hpp"

namespace flow_runner::cli {

namespace asio = boost::asio;

namespace {

// The token: the named secret, else GITLAB_TOKEN if it is given, else the only secret.
Result<GivenSecret> read_token(const PublishArguments& arguments) {
  ExecOptions options;
  options.git_token_from = arguments.git_token_from;
  for (const std::string& word : arguments.secrets) {
    FR_TRY(SecretSource source, read_secret_option(word));
    options.secrets.push_back(std::move(source));
  }
  FR_TRY(auto secrets, read_secrets(options));
  if (secrets.empty()) return GivenSecret{};
  const std::string wanted =
      arguments.git_token_from.empty() ? "GITLAB_TOKEN" : arguments.git_token_from;
  for (GivenSecret& secret : secrets)
    if (secret.name == wanted) return std::move(secret);
  if (secrets.size() == 1) return std::move(secrets.front());
  return Error{ErrorCode::invalid_input,
               "several secrets are given: say which one pushes with --git-token-from NAME"};
}

GitContext git_context(const PublishArguments& arguments, const GivenSecret& token) {
  std::vector<MaskedValue> secrets;
  if (token.value.size() > 0) secrets.push_back({token.name, token.value, true});
  GitContext context;
  std::error_code error;
  if (!arguments.ca_file.empty())
    context.ca_file = std::filesystem::absolute(arguments.ca_file, error);
  context.sanitize = [patterns = MaskerPatterns::compile(secrets)](std::string_view text) {
    return mask_text(*patterns, text);
  };
  return context;
}

// A job that started from a work tree may build on a commit that only we have made, of files that
// nobody has committed.
asio::awaitable<Result<bool>> builds_on_uncommitted(const KeptChanges& kept,
                                                    const GitContext& context,
                                                    Cancellation& cancellation) {
  const RepositorySpec& repository = kept.job().repository;
  if (!repository.include_work_tree && !repository.captured_start) co_return false;
  const auto source = find_repository(kept.job().repository.url);
  if (!source) co_return true;
  GitCommand has_base;
  has_base.arguments = {"cat-file", "-e", kept.result().base};
  has_base.git_dir = source->common_dir;
  FR_CO_TRY(const RunOutput found, co_await run_git(std::move(has_base), context, cancellation));
  co_return !found.status.success();
}

asio::awaitable<Result<PublicationOutcome>> push(const KeptChanges& kept,
                                                 const PublishTarget& target,
                                                 const GivenSecret& token,
                                                 const GitContext& context,
                                                 Cancellation& cancellation) {
  const Credential credential{kept.job().repository.username, token.value};
  FR_CO_TRY(const std::string wanted, full_ref(target.spec.workload_ref));
  // Not written in place: g++ 12 cannot keep an initializer list across a co_await.
  const std::vector<std::string> names(1, wanted);
  FR_CO_TRY(const RemoteRefs refs, co_await list_remote(target.url, credential, names, context,
                                                        cancellation, std::chrono::minutes(2)));
  std::string_view default_branch = refs.head_branch;
  if (default_branch.starts_with("refs/heads/")) default_branch.remove_prefix(11);
  FR_CO_TRY(const std::string ref, allowed_target(target.spec, default_branch));

  PublicationRequest request;
  request.mode = target.spec.mode;
  request.quarantine = kept.repository();
  request.mirror = kept.mirror();
  request.base = kept.result().base;
  request.head = kept.result().commit;
  request.url = target.spec.url;
  request.ref = ref;
  request.expected = refs.find(ref);
  request.credential = credential;
  request.skip_pipelines = target.spec.skip_pipelines;
  request.git_worker = git_worker_program();
  co_return co_await flow_runner::publish(request, context, cancellation);
}

asio::awaitable<int> publish_kept(const PublishArguments& arguments, Cancellation& cancellation) {
  const auto token = read_token(arguments);
  if (!token) co_return print_error(token.error());
  const auto state = open_state(arguments.state_dir);
  if (!state) co_return print_error(state.error());
  const auto directory = find_job(*state, arguments.id);
  if (!directory) co_return print_error(directory.error());
  const GitContext context = git_context(arguments, *token);
  const auto kept = co_await KeptChanges::open(*state, *directory, context, cancellation);
  if (!kept) co_return print_error(kept.error());
  if (kept->result().commit.empty() || kept->result().commit == kept->result().base)
    co_return print_error({ErrorCode::not_found, "the job " + directory->id() +
                                                     " has no commit to push; what it kept is in " +
                                                     kept->result().bundle.string()});

  const auto journal = directory->read_journal();
  if (!journal) co_return print_error(journal.error());
  const std::string objection = guard_objection(kept->job(), kept->result(), *journal);
  if (!objection.empty() && !arguments.override_guard)
    co_return print_error(
        {ErrorCode::denied, objection + "\nLook at the changes with `flow-runner show " +
                                directory->id() +
                                " --diff`; --override-guard publishes them all the same"});
  const auto uncommitted = co_await builds_on_uncommitted(*kept, context, cancellation);
  if (!uncommitted) co_return print_error(uncommitted.error());
  if (*uncommitted && !arguments.include_uncommitted)
    co_return print_error(
        {ErrorCode::denied,
         "the job started from uncommitted files, which would be pushed with its changes: "
         "`flow-runner apply " +
             directory->id() +
             "` brings only its changes into the work tree; --include-uncommitted publishes both"});
  const auto target = publish_target(kept->job(), arguments.to, arguments.workload_ref,
                                     token->value.size() > 0 ? TokenGiven::yes : TokenGiven::no);
  if (!target) co_return print_error(target.error());
  const auto outcome = co_await push(*kept, *target, *token, context, cancellation);
  if (!outcome) {
    print_error(outcome.error());
    co_return outcome.error().code == ErrorCode::cancelled ? exit_canceled : exit_failed;
  }
  for (const std::string& warning : outcome->warnings)
    print(STDERR_FILENO, "warning: " + warning + "\n");
  JobResult result = kept->result();
  result.pushed_ref = outcome->ref;
  result.pushed_sha = outcome->commit;
  if (const auto written = directory->write_result(result); !written) print_error(written.error());
  print(STDERR_FILENO, "pushed " + outcome->commit.substr(0, 12) + " to " + outcome->ref + " at " +
                           target->spec.url + "\n");
  co_return exit_success;
}

}  // namespace

int publish_command(const PublishArguments& arguments) {
  return run_interruptible(
      [&](Cancellation& cancellation) { return publish_kept(arguments, cancellation); }, {});
}

}  // namespace flow_runner::cli
