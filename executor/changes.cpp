#include "executor/changes.hpp"

#include <algorithm>
#include <fcntl.h>

#include "config/quoted_path.hpp"
#include "executor/git_worker.hpp"
#include "executor/patch_writer.hpp"
#include "executor/publication_guard.hpp"
#include "executor/remove_tree.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

constexpr std::chrono::minutes take_over_deadline{10};
constexpr std::uint64_t take_over_memory = 4ULL << 30;

std::string_view find_variable(const Job& job, std::string_view name) {
  // Later duplicates win.
  for (auto variable = job.variables.rbegin(); variable != job.variables.rend(); ++variable)
    if (variable->name == name) return variable->value.reveal();
  return {};
}

/// "Name <mail>" from GIT_<ROLE>_NAME and _EMAIL, if the job gave both.
std::optional<std::string> identity_from(const Job& job, const std::string& role) {
  const auto name = find_variable(job, "GIT_" + role + "_NAME");
  const auto email = find_variable(job, "GIT_" + role + "_EMAIL");
  if (name.empty() || email.empty()) return std::nullopt;
  return std::string(name) + " <" + std::string(email) + ">";
}

std::string agent_name(const Job& job) {
  std::string name = std::filesystem::path(job.flow.path).stem();
  return name.empty() ? "the agent" : name;
}

std::string lfs_refusal(const ChangeSet& changes) {
  const auto changed = std::find_if(changes.changes.begin(), changes.changes.end(),
                                    [](const Change& change) { return change.lfs; });
  if (changed == changes.changes.end()) return {};
  return quote_path(changed->path) +
         " is a Git LFS path, and its content would be committed as it is; LFS is not supported";
}

std::string refusal_for(const ChangesContext& context, const ChangeSet& changes,
                        const ContentScan& scan) {
  if (!changes.repository_broken.empty())
    return "the repository that the job left could not be read: " + changes.repository_broken;
  if (auto text = describe(scan.leaks()); !text.empty()) return text;
  if (scan.overflowed()) return "the commits touch more paths than can be checked";
  // What each commit touches, and what they amount to: a merge may bring an old file back without
  // touching it against its first parent.
  std::vector<std::string> paths = scan.paths();
  for (const auto& change : changes.changes) paths.push_back(change.path);
  if (auto text = describe(check_paths(paths, context.job.publish.protected_paths)); !text.empty())
    return text;
  return lfs_refusal(changes);
}

}  // namespace

nlohmann::json to_json(const WorkspaceRecord& record) {
  nlohmann::json layers = nlohmann::json::array();
  for (const auto& layer : record.snapshot_layers) layers.push_back(layer.string());
  return {{"mirror", record.mirror.string()},
          {"base", record.base},
          {"layers", layers},
          {"owner_uid", record.owner_uid},
          {"owner_gid", record.owner_gid},
          {"ref", record.ref},
          {"kind", record.kind == WorkspaceKind::copy ? "copy" : "overlay"}};
}

Result<WorkspaceRecord> workspace_record_from_json(const nlohmann::json& json) {
  try {
    WorkspaceRecord record;
    record.mirror = json.at("mirror").get<std::string>();
    record.base = json.at("base").get<std::string>();
    for (const auto& layer : json.at("layers"))
      record.snapshot_layers.emplace_back(layer.get<std::string>());
    record.owner_uid = json.at("owner_uid").get<std::uint32_t>();
    record.owner_gid = json.at("owner_gid").get<std::uint32_t>();
    record.ref = json.at("ref").get<std::string>();
    const auto kind = json.value("kind", std::string("overlay"));
    if (kind != "overlay" && kind != "copy")
      return Error{ErrorCode::internal, "the journal's workspace is of the unknown kind " + kind};
    record.kind = kind == "copy" ? WorkspaceKind::copy : WorkspaceKind::overlay;
    return record;
  } catch (const nlohmann::json::exception& error) {
    return Error{ErrorCode::internal,
                 std::string("the journal's workspace entry: ") + error.what()};
  }
}

std::string commit_message(const Job& job, const MaskerPatterns& patterns) {
  std::string subject = job.flow.extensions.publish_message.value_or(job.publish.message);
  constexpr std::string_view placeholder = "{agent}";
  if (const auto at = subject.find(placeholder); at != std::string::npos)
    subject.replace(at, placeholder.size(), agent_name(job));
  return mask_text(patterns, subject) + "\n\nFlow-Runner-Job: " + job.id + "\n";
}

asio::awaitable<Result<TakenOver>> take_over_changes(const ChangesContext& context,
                                                     Cancellation& cancellation) {
  // A crash may have left half of one behind.
  FR_CO_CHECK(remove_tree(context.directory.quarantine()));
  TakeOverRequest request;
  request.mirror = context.record.mirror;
  request.merged = context.merged;
  request.upper = context.upper;
  request.copy_mark = context.copy_mark;
  request.quarantine = context.directory.quarantine();
  request.base = context.record.base;
  request.author = context.job.publish.author;
  request.committer = context.job.publish.committer;
  request.author_override = identity_from(context.job, "AUTHOR");
  request.committer_override = identity_from(context.job, "COMMITTER");
  request.message = commit_message(context.job, *context.patterns);
  request.time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());

  ContentScan scan(context.patterns);
  GitWorkerOptions options;
  options.program = context.git_worker;
  options.deadline = take_over_deadline;
  options.limits.memory_bytes = take_over_memory;
  options.content = &scan;
  FR_CO_TRY(const auto json, co_await run_git_worker("take-over", to_json(request),
                                                     std::move(options), cancellation));
  scan.finish();
  TakenOver taken;
  FR_CO_TRY(taken.changes, from_json<ChangeSet>(json));
  taken.refusal = refusal_for(context, taken.changes, scan);
  if (auto text = describe_suspects(scan.suspects()); !text.empty())
    taken.changes.warnings.push_back(std::move(text));
  for (auto& change : taken.changes.changes)
    change.path = mask_text(*context.patterns, change.path);
  for (auto& warning : taken.changes.warnings) warning = mask_text(*context.patterns, warning);
  co_return taken;
}

asio::awaitable<Result<std::optional<BundleInfo>>> keep_bundle(const ChangesContext& context,
                                                               const ChangeSet& changes,
                                                               Cancellation& cancellation) {
  const BundleRequest request{.quarantine = context.directory.quarantine(),
                              .mirror = context.record.mirror,
                              .base = changes.base,
                              .head = changes.head,
                              .ref = context.record.ref,
                              .kept_refs = changes.kept_refs,
                              .file = context.directory.bundle_file()};
  const GitContext git{
      .ca_file = {},
      .sanitize = [patterns = context.patterns](
                      std::string_view text) { return mask_text(*patterns, text); },
      .on_progress = {}};
  co_return co_await create_bundle(request, git, cancellation);
}

asio::awaitable<Result<void>> keep_patch(const ChangesContext& context, const ChangeSet& changes,
                                         Cancellation& cancellation) {
  FR_CO_TRY(const Descriptor file,
            open_file(context.directory.patch_file(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
  PatchWriter writer(file.get(), context.patterns);
  const DiffRequest request{.repository = context.directory.quarantine(),
                            .old_commit = changes.base,
                            .new_commit = changes.head};
  GitWorkerOptions options;
  options.program = context.git_worker;
  options.limits.memory_bytes = take_over_memory;
  options.content = &writer;
  FR_CO_CHECK(co_await run_git_worker("diff", to_json(request), std::move(options), cancellation));
  co_return writer.finish();
}

}  // namespace flow_runner
