#include "executor/job_run.hpp"

namespace flow_runner {

void JobRun::tell_changes(const ChangeSet& changes) {
  if (secrets_known_) {
    for (const auto& warning : changes.warnings) warn(warning);
    result_.changes = changes.changes;
  } else if (!changes.warnings.empty()) {
    warn(std::to_string(changes.warnings.size()) +
         " remarks on the changes are not shown: they name what the job wrote, and its secrets are "
         "not "
         "known any more");
  }
  if (!changes.left_out) return;
  unsaved_ = true;
  say("The job's workspace stays in " + context_.directory.overlay().string() +
      ", for it holds what could not be taken over");
}

JobRun::Stage JobRun::handle_changes() {
  const Stopwatch watch;
  const auto touched = workspace_->touched();
  if (touched && !*touched) {
    result_.timings.changes_ms = watch.milliseconds();
    say("The job changed nothing; nothing is published.");
    co_return true;
  }
  journal("changes");
  progress("changes", "");
  const ChangesContext changes_context{context_.directory,
                                       record_,
                                       job_,
                                       patterns_,
                                       context_.git_worker,
                                       workspace_->merged(),
                                       workspace_->upper(),
                                       workspace_->copy_mark()};
  auto taken = co_await take_over_changes(changes_context, after_script_);
  result_.timings.changes_ms = watch.milliseconds();
  if (!taken) {
    unsaved_ = true;
    say("The job's workspace stays in " + context_.directory.overlay().string());
    co_return fail(JobCause::system_failure,
                   {taken.error().code, "the changes could not be read: " + taken.error().message});
  }
  tell_changes(taken->changes);
  if (changed_nothing(taken->changes)) {
    say("The job changed nothing; nothing is published.");
    co_return true;
  }
  if (taken->changes.head != taken->changes.base) result_.commit = taken->changes.head;
  const bool published = co_await publish_changes(*taken);
  if (!published || !taken->changes.kept_refs.empty())
    co_await keep_changes(changes_context, *taken);
  co_return published;
}

JobRun::Stage JobRun::publish_changes(const TakenOver& taken) {
  if (!taken.refusal.empty()) {
    if (!failed_ && job_.publish.mode != PublishMode::none)
      co_return fail(JobCause::publish_refused, {ErrorCode::denied, taken.refusal});
    if (secrets_known_) warn("these changes would not be published: " + taken.refusal);
  }
  if (failed_ || job_.publish.mode == PublishMode::none || result_.commit.empty()) co_return false;
  const Stopwatch watch;
  journal("publish", {{"ref", record_.ref}, {"commit", result_.commit}});
  progress("publish", "");
  PublicationRequest request;
  request.mode = job_.publish.mode;
  request.quarantine = context_.directory.quarantine();
  request.mirror = record_.mirror;
  request.base = taken.changes.base;
  request.head = taken.changes.head;
  request.url = target_url();
  request.ref = record_.ref;
  request.expected = repository_->workload_tip;
  request.credential = {job_.repository.username, job_.repository.token};
  request.skip_pipelines = job_.publish.skip_pipelines;
  request.git_worker = context_.git_worker;
  const GitContext git{.ca_file = job_.ca_file,
                       .sanitize = [this](std::string_view text) { return masked(text); },
                       .on_progress = [this](std::string_view text) { progress("publish", text); }};
  const auto outcome = co_await publish(request, git, after_script_);
  result_.timings.publish_ms = watch.milliseconds();
  if (!outcome) co_return fail(JobCause::publish_failure, outcome.error());
  for (const auto& warning : outcome->warnings) warn(warning);
  result_.pushed_ref = outcome->ref;
  result_.pushed_sha = outcome->commit;
  result_.commit = outcome->commit;
  journal("published", {{"ref", outcome->ref}, {"commit", outcome->commit}});
  say("Pushed " + outcome->commit.substr(0, 12) + " to " + outcome->ref);
  co_return true;
}

asio::awaitable<void> JobRun::keep_changes(const ChangesContext& changes_context,
                                           const TakenOver& taken) {
  const ChangeSet& changes = taken.changes;
  const auto bundle = co_await keep_bundle(changes_context, changes, after_script_);
  if (!bundle) {
    fail(JobCause::system_failure,
         {bundle.error().code,
          "the changes could not be kept as a bundle: " + bundle.error().message});
    unsaved_ = true;
    say("The job's workspace stays in " + context_.directory.overlay().string());
    co_return;
  }
  if (!*bundle) co_return;
  result_.bundle = (*bundle)->file;
  // Whoever publishes the bundle later must know what the guard said now, when the secrets were
  // known.
  journal("kept", {{"bundle", result_.bundle.string()},
                   {"commit", result_.commit},
                   {"refusal", secrets_known_ ? masked(taken.refusal) : std::string()}});
  if (job_.publish.mode == PublishMode::none && secrets_known_) {
    if (const auto kept = co_await keep_patch(changes_context, changes, after_script_); kept)
      result_.patch = context_.directory.patch_file();
    else
      warn("the diff could not be written: " + kept.error().message);
  }
  say("The changes are kept in " + result_.bundle.string());
  say("  apply them to a work tree:  " + command_hint("apply"));
  say("  publish them:               " + command_hint("publish"));
}

}  // namespace flow_runner
