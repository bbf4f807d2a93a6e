// What flow-runner and its git worker (`flow-runner-git`) say to each other. Plain values, no
// libgit2.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/result.hpp"

namespace flow_runner {

/// The worker reads one JSON request from stdin to its end: {"verb": …, …fields of the request}.
/// It answers on stdout with lines of JSON:
///   {"event":"progress","text":"checking out","done":1,"total":2}          any number
///   {"event":"content","kind":"blob|message|path|patch","commit":HEX,"path":P,"size":N}\n + N raw
///   bytes
///   {"event":"result", …}  or  {"event":"error","code":"denied","message":"…"}  exactly one, last
/// Paths in JSON: when one path of an object is not UTF-8 or holds control bytes, the object has
/// "quoted": true and all its paths are C-quoted (config/quoted_path.hpp). stderr is for
/// diagnostics only. A request may carry "limits": {"memory_bytes", "cpu_seconds", "file_bytes",
/// "open_files"}, which the worker sets for itself before it opens anything.

/// Makes `directory` (absent before; built beside it and renamed into place) the snapshot of
/// `commit`:
///   directory/tree/       the checkout, owned by the caller's uid and gid, with `.git/index` only
///   directory/snapshot.json
/// With `base` (the directory of a *full* snapshot) a delta is made when it is small enough: only
/// changed files, whiteouts (char device 0/0) and its own complete `.git/index`.
struct SnapshotRequest {
  std::filesystem::path mirror;  ///< bare repository
  std::string commit;            ///< 40 hex
  std::filesystem::path directory;
  std::filesystem::path base;  ///< empty: full
};

/// Written as snapshot.json; its presence means that the snapshot is complete.
struct SnapshotInfo {
  int version = 1;
  std::string commit;
  std::string base_commit;  ///< empty: full
  std::uint64_t files = 0;  ///< files and links that lie in this directory, whiteouts not counted
  std::uint64_t bytes = 0;  ///< of their contents
  std::vector<std::string> submodules;  ///< paths that are not filled in (at most 20 named)
  bool lfs = false;  ///< `.gitattributes` names filter=lfs: pointers are not filled in
};

/// Makes a commit object in `mirror` from a local repository's HEAD plus its tracked changes and
/// its untracked, not ignored files. Never writes to the source repository.
struct CaptureRequest {
  std::filesystem::path mirror;
  std::filesystem::path repository;  ///< the work tree's folder
  bool include_untracked = true;
};
struct CaptureInfo {
  std::string head;                      ///< commit of HEAD
  std::string commit;                    ///< equals head when the work tree is clean
  std::vector<std::string> dirty_paths;  ///< at most 20, for messages
  std::uint64_t dirty_count = 0;
};

/// Reads what a job left behind. Everything under `merged` and `upper` is an attacker's data.
struct TakeOverRequest {
  std::filesystem::path mirror;      ///< read only
  std::filesystem::path merged;      ///< the workspace as the job saw it (overlay mount)
  std::filesystem::path upper;       ///< the overlay's upper folder; empty for a copy
  std::filesystem::path copy_mark;   ///< of a plain copy (copy_mark.hpp), a file; else empty
  std::filesystem::path quarantine;  ///< bare repository made here; its alternate is the mirror
  std::string base;                  ///< commit the job started from
  std::string author;                ///< "Name <mail>", used when the job gave none
  std::string committer;
  std::optional<std::string> author_override;  ///< from GIT_AUTHOR_*: before the workspace's config
  std::optional<std::string> committer_override;  ///< from GIT_COMMITTER_*
  std::string message;    ///< of the commit made for what was left uncommitted, with trailer
  std::int64_t time = 0;  ///< commit time, seconds since the epoch
  std::uint64_t max_object_bytes = 512ULL << 20;  ///< one object of the agent, inflated
  std::uint64_t max_total_bytes = 2ULL << 30;     ///< all objects of the agent, inflated
  bool confine = true;  ///< false only in tests that call take_over() in their own process
};

enum class ChangeStatus : char { added = 'A', modified = 'M', deleted = 'D', type_changed = 'T' };

struct Change {
  std::string path;  ///< raw bytes in memory; quoted in JSON where needed
  ChangeStatus status = ChangeStatus::modified;
  bool lfs = false;
};

/// The answer of take-over.
struct ChangeSet {
  std::string base;
  std::string head;  ///< what would be published; equals base: nothing changed
  std::vector<std::string> agent_commits;  ///< taken over unaltered, oldest first
  std::string own_commit;                  ///< empty: nothing was left uncommitted
  std::vector<Change> changes;             ///< base against head, sorted by path
  /// Objects kept beside the published line, as refs of the quarantine that go into a bundle:
  /// the agent's HEAD when it does not descend from base, its other branches and its stash.
  std::vector<std::pair<std::string, std::string>> kept_refs;  ///< {refs/…, commit}
  std::vector<std::string> warnings;                           ///< sentences for the log
  /// Files were passed over (named in warnings) that exist nowhere else: the workspace must stay.
  bool left_out = false;
  /// Not empty: the agent's repository could not be read as one; the tree was taken, a push must
  /// not happen. Says why.
  std::string repository_broken;
};

/// Cherry-picks the commits base..head (oldest first, a line without merges) onto `onto` without a
/// work tree. Author, committer and message stay; a commit whose change `onto` has already is
/// dropped.
struct ReplayRequest {
  std::filesystem::path quarantine;
  std::string base;
  std::string head;
  std::string onto;
};
struct ReplayInfo {
  std::string head;                    ///< empty: conflicts
  std::vector<std::string> conflicts;  ///< paths, at most 100
  std::string reason;                  ///< without a head: a sentence on what stands in the way
};

/// A unified diff (git's format, binary included so that `git apply` takes it) between two commits.
struct DiffRequest {
  std::filesystem::path repository;  ///< mirror or quarantine
  std::string old_commit;
  std::string new_commit;
  std::uint64_t max_bytes = 64ULL << 20;  ///< of the text; more is invalid_input
  bool text = true;                       ///< false: only the list of names
};
/// The text itself comes as content of the kind `patch`.
struct DiffInfo {
  std::uint64_t bytes = 0;
  std::vector<Change> changes;  ///< sorted by path; `lfs` is not looked at
};

/// Brings the changes old_commit..new_commit into the files of a folder, as they lie there: its
/// HEAD and index are neither read nor written. Where a file differs from old_commit the change is
/// merged into it line by line. All or nothing: one path that cannot be applied, and no file is
/// touched.
struct ApplyRequest {
  std::filesystem::path repository;  ///< holds the objects; bare
  std::string old_commit;
  std::string new_commit;
  std::filesystem::path work_tree;
  bool dry_run = false;  ///< only say whether it would apply
};
struct ApplyInfo {
  std::vector<Change> changes;         ///< what was (or would be) written
  std::vector<std::string> conflicts;  ///< not empty: nothing was touched; at most 100
};

nlohmann::json to_json(const SnapshotRequest&);
nlohmann::json to_json(const SnapshotInfo&);
nlohmann::json to_json(const CaptureRequest&);
nlohmann::json to_json(const CaptureInfo&);
nlohmann::json to_json(const TakeOverRequest&);
nlohmann::json to_json(const ChangeSet&);
nlohmann::json to_json(const ReplayRequest&);
nlohmann::json to_json(const ReplayInfo&);
nlohmann::json to_json(const DiffRequest&);
nlohmann::json to_json(const DiffInfo&);
nlohmann::json to_json(const ApplyRequest&);
nlohmann::json to_json(const ApplyInfo&);

/// from_json<T>(json): the inverse; a missing or mistyped field is invalid_input that names it.
template <class T>
Result<T> from_json(const nlohmann::json& json);

}  // namespace flow_runner
