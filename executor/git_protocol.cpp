#include "executor/git_protocol.hpp"

#include <string_view>

#include "executor/git_fields.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;

json change_to_json(const Change& change) {
  return FieldWriter()
      .path("path", change.path)
      .value("status", std::string(1, static_cast<char>(change.status)))
      .value("lfs", change.lfs)
      .done();
}

Result<Change> change_from_json(const json& object) {
  Change change;
  std::string status;
  FieldReader reader(object);
  reader.path("path", change.path).value("status", status).value("lfs", change.lfs);
  if (status.size() != 1 || std::string_view("AMDT").find(status[0]) == std::string_view::npos) {
    reader.fail("git worker: the field 'status' must be A, M, D or T");
  } else {
    change.status = static_cast<ChangeStatus>(status[0]);
  }
  return reader.done(change);
}

json changes_to_json(const std::vector<Change>& changes) {
  json list = json::array();
  for (const auto& change : changes) list.push_back(change_to_json(change));
  return list;
}

using KeptRef = std::pair<std::string, std::string>;

// A ref's name may be any bytes: it is written as a path.
json kept_ref_to_json(const KeptRef& ref) {
  return FieldWriter().path("ref", ref.first).value("commit", ref.second).done();
}

Result<KeptRef> kept_ref_from_json(const json& object) {
  KeptRef ref;
  return FieldReader(object).path("ref", ref.first).value("commit", ref.second).done(ref);
}

}  // namespace

json to_json(const SnapshotRequest& request) {
  return FieldWriter()
      .path("mirror", request.mirror)
      .value("commit", request.commit)
      .path("directory", request.directory)
      .path("base", request.base)
      .done();
}

template <>
Result<SnapshotRequest> from_json(const json& object) {
  SnapshotRequest request;
  return FieldReader(object)
      .path("mirror", request.mirror)
      .value("commit", request.commit)
      .path("directory", request.directory)
      .path("base", request.base)
      .done(request);
}

json to_json(const SnapshotInfo& info) {
  return FieldWriter()
      .value("version", info.version)
      .value("commit", info.commit)
      .value("base_commit", info.base_commit)
      .value("files", info.files)
      .value("bytes", info.bytes)
      .paths("submodules", info.submodules)
      .value("lfs", info.lfs)
      .done();
}

template <>
Result<SnapshotInfo> from_json(const json& object) {
  SnapshotInfo info;
  return FieldReader(object)
      .value("version", info.version)
      .value("commit", info.commit)
      .value("base_commit", info.base_commit)
      .value("files", info.files)
      .value("bytes", info.bytes)
      .paths("submodules", info.submodules)
      .value("lfs", info.lfs)
      .done(info);
}

json to_json(const CaptureRequest& request) {
  return FieldWriter()
      .path("mirror", request.mirror)
      .path("repository", request.repository)
      .value("include_untracked", request.include_untracked)
      .done();
}

template <>
Result<CaptureRequest> from_json(const json& object) {
  CaptureRequest request;
  return FieldReader(object)
      .path("mirror", request.mirror)
      .path("repository", request.repository)
      .value("include_untracked", request.include_untracked)
      .done(request);
}

json to_json(const CaptureInfo& info) {
  return FieldWriter()
      .value("head", info.head)
      .value("commit", info.commit)
      .paths("dirty_paths", info.dirty_paths)
      .value("dirty_count", info.dirty_count)
      .done();
}

template <>
Result<CaptureInfo> from_json(const json& object) {
  CaptureInfo info;
  return FieldReader(object)
      .value("head", info.head)
      .value("commit", info.commit)
      .paths("dirty_paths", info.dirty_paths)
      .value("dirty_count", info.dirty_count)
      .done(info);
}

json to_json(const TakeOverRequest& request) {
  FieldWriter writer;
  writer.path("mirror", request.mirror)
      .path("merged", request.merged)
      .path("upper", request.upper)
      .path("copy_mark", request.copy_mark)
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .text("author", request.author)
      .text("committer", request.committer)
      .text("message", request.message)
      .value("time", request.time)
      .value("max_object_bytes", request.max_object_bytes)
      .value("max_total_bytes", request.max_total_bytes)
      .value("confine", request.confine);
  if (request.author_override) writer.text("author_override", *request.author_override);
  if (request.committer_override) writer.text("committer_override", *request.committer_override);
  return writer.done();
}

template <>
Result<TakeOverRequest> from_json(const json& object) {
  TakeOverRequest request;
  return FieldReader(object)
      .path("mirror", request.mirror)
      .path("merged", request.merged)
      .path("upper", request.upper)
      .path("copy_mark", request.copy_mark)
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .value("author", request.author)
      .value("committer", request.committer)
      .value("message", request.message)
      .value("time", request.time)
      .value("max_object_bytes", request.max_object_bytes)
      .value("max_total_bytes", request.max_total_bytes)
      .value("confine", request.confine)
      .optional("author_override", request.author_override)
      .optional("committer_override", request.committer_override)
      .done(request);
}

json to_json(const ChangeSet& set) {
  json kept = json::array();
  for (const auto& ref : set.kept_refs) kept.push_back(kept_ref_to_json(ref));
  return FieldWriter()
      .value("base", set.base)
      .value("head", set.head)
      .value("agent_commits", set.agent_commits)
      .value("own_commit", set.own_commit)
      .value("changes", changes_to_json(set.changes))
      .value("kept_refs", kept)
      .texts("warnings", set.warnings)
      .value("left_out", set.left_out)
      .text("repository_broken", set.repository_broken)
      .done();
}

template <>
Result<ChangeSet> from_json(const json& object) {
  ChangeSet set;
  return FieldReader(object)
      .value("base", set.base)
      .value("head", set.head)
      .value("agent_commits", set.agent_commits)
      .value("own_commit", set.own_commit)
      .list("changes", set.changes, change_from_json)
      .list("kept_refs", set.kept_refs, kept_ref_from_json)
      .value("warnings", set.warnings)
      .value("left_out", set.left_out)
      .value("repository_broken", set.repository_broken)
      .done(set);
}

json to_json(const ReplayRequest& request) {
  return FieldWriter()
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .value("head", request.head)
      .value("onto", request.onto)
      .done();
}

template <>
Result<ReplayRequest> from_json(const json& object) {
  ReplayRequest request;
  return FieldReader(object)
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .value("head", request.head)
      .value("onto", request.onto)
      .done(request);
}

json to_json(const ReplayInfo& info) {
  return FieldWriter()
      .value("head", info.head)
      .paths("conflicts", info.conflicts)
      .text("reason", info.reason)
      .done();
}

template <>
Result<ReplayInfo> from_json(const json& object) {
  ReplayInfo info;
  return FieldReader(object)
      .value("head", info.head)
      .paths("conflicts", info.conflicts)
      .value("reason", info.reason)
      .done(info);
}

json to_json(const DiffRequest& request) {
  return FieldWriter()
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .value("max_bytes", request.max_bytes)
      .value("text", request.text)
      .done();
}

template <>
Result<DiffRequest> from_json(const json& object) {
  DiffRequest request;
  return FieldReader(object)
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .value("max_bytes", request.max_bytes)
      .value("text", request.text)
      .done(request);
}

json to_json(const DiffInfo& info) {
  return FieldWriter()
      .value("bytes", info.bytes)
      .value("changes", changes_to_json(info.changes))
      .done();
}

template <>
Result<DiffInfo> from_json(const json& object) {
  DiffInfo info;
  return FieldReader(object)
      .value("bytes", info.bytes)
      .list("changes", info.changes, change_from_json)
      .done(info);
}

json to_json(const ApplyRequest& request) {
  return FieldWriter()
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .path("work_tree", request.work_tree)
      .value("dry_run", request.dry_run)
      .done();
}

template <>
Result<ApplyRequest> from_json(const json& object) {
  ApplyRequest request;
  return FieldReader(object)
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .path("work_tree", request.work_tree)
      .value("dry_run", request.dry_run)
      .done(request);
}

json to_json(const ApplyInfo& info) {
  return FieldWriter()
      .value("changes", changes_to_json(info.changes))
      .paths("conflicts", info.conflicts)
      .done();
}

template <>
Result<ApplyInfo> from_json(const json& object) {
  ApplyInfo info;
  return FieldReader(object)
      .list("changes", info.changes, change_from_json)
      .paths("conflicts", info.conflicts)
      .done(info);
}

}  // namespace flow_runner
