#include "executor/git_apply.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <optional>
#include <random>
#include <set>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/quoted_path.hpp"
#include "executor/git_diff_names.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_names.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_named_conflicts = 100;

int open_beneath(int top, const std::string& path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return static_cast<int>(
      ::syscall(SYS_openat2, top, path.empty() ? "." : path.c_str(), &how, sizeof how));
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// What lies at a path of the work tree.
struct Found {
  enum class Kind { missing, behind_file, file, link, folder, other } kind = Kind::missing;
  std::string content;  ///< of a file or link
  mode_t mode = 0;
};

Result<Found> look_at(int top, const std::string& path) {
  Found found;
  const Descriptor handle(open_beneath(top, path, O_PATH));
  if (!handle && errno == ENOENT) return found;
  // A symbolic link on the way is in the way as well: it may lead anywhere.
  found.kind = Found::Kind::other;
  if (!handle && errno == ELOOP) return found;
  if (!handle && errno == ENOTDIR) {
    found.kind = Found::Kind::behind_file;
    return found;
  }
  struct stat info {};
  if (!handle || ::fstat(handle.get(), &info) != 0)
    return errno_error("cannot look at " + quote_path(path));
  found.mode = info.st_mode & 0777;
  if (S_ISDIR(info.st_mode)) found.kind = Found::Kind::folder;
  if (S_ISLNK(info.st_mode)) {
    std::array<char, max_git_path_bytes + 1> target{};
    const ssize_t size = ::readlinkat(handle.get(), "", target.data(), target.size());
    if (size < 0) return errno_error("cannot read the link " + quote_path(path));
    found.kind = Found::Kind::link;
    found.content.assign(target.data(), static_cast<std::size_t>(size));
  }
  if (S_ISREG(info.st_mode)) {
    const Descriptor file(open_beneath(top, path, O_RDONLY | O_NONBLOCK));
    if (!file) return errno_error("cannot read " + quote_path(path));
    found.kind = Found::Kind::file;
    FR_TRY(found.content, read_all(file.get(), max_applied_file_bytes, quote_path(path)));
  }
  return found;
}

bool is_file_mode(std::uint32_t mode) {
  return mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE;
}

/// One thing to do, once all of them are known to be possible.
struct Step {
  std::string path;
  std::uint32_t mode = 0;     ///< of what is written; 0: what is there is removed
  mode_t permissions = 0666;  ///< of a file that is written, before umask if it is new
  bool existed = false;
  git_oid id{};  ///< the content, unless `merged`
  std::optional<std::string> merged;
};

class ApplyPlan {
 public:
  ApplyPlan(git_repository& repository, int top, fs::path work_tree)
      : repository_(repository), top_(top), work_tree_((std::move(work_tree) / "").parent_path()) {}

  Result<void> make(const std::vector<ChangedEntry>& entries) {
    for (const ChangedEntry& entry : entries) {
      if (entry.change.status == ChangeStatus::deleted) removed_.insert(entry.change.path);
    }
    for (const ChangedEntry& entry : entries) {
      FR_CHECK(check_relative_path(entry.change.path));
      FR_TRY(const bool possible, plan(entry));
      if (!possible && conflicts_.size() < max_named_conflicts)
        conflicts_.push_back(entry.change.path);
    }
    return {};
  }

  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  [[nodiscard]] const std::vector<std::string>& conflicts() const { return conflicts_; }

 private:
  /// false: a conflict.
  Result<bool> plan(const ChangedEntry& entry) {
    const std::string& path = entry.change.path;
    if (entry.old_mode == GIT_FILEMODE_COMMIT || entry.new_mode == GIT_FILEMODE_COMMIT)
      return false;
    FR_TRY(Found found, look_at(top_, path));
    if (found.kind == Found::Kind::behind_file) {
      const bool gone = entry.new_mode == 0 || parent_is_removed(path);
      found.kind = gone ? Found::Kind::missing : Found::Kind::other;
    }
    FR_TRY(const bool as_new, matches(found, entry.new_mode, entry.new_id));
    if (as_new && (found.kind != Found::Kind::file || mode_is_done(entry, found.mode))) return true;
    Step step{.path = path, .mode = entry.new_mode, .id = entry.new_id, .merged = {}};
    FR_TRY(const bool as_old, matches(found, entry.old_mode, entry.old_id));
    const bool replaced_folder =
        found.kind == Found::Kind::folder && entry.old_mode == 0 && will_be_empty(path);
    if (as_old || replaced_folder) {
      step.existed = found.kind == Found::Kind::file && is_file_mode(entry.new_mode);
    } else {
      const bool mergeable = found.kind == Found::Kind::file && is_file_mode(entry.old_mode) &&
                             is_file_mode(entry.new_mode);
      if (!mergeable) return false;
      FR_TRY(const bool merged, merge(entry, found, step));
      if (!merged) return false;
      step.existed = true;
    }
    if (step.existed)
      step.permissions = new_permissions(entry, found.mode);
    else if (step.mode == GIT_FILEMODE_BLOB_EXECUTABLE)
      step.permissions = 0777;
    steps_.push_back(std::move(step));
    return true;
  }

  static bool mode_is_done(const ChangedEntry& entry, mode_t now) {
    if (!is_file_mode(entry.old_mode) || entry.old_mode == entry.new_mode) return true;
    return ((now & S_IXUSR) != 0) == (entry.new_mode == GIT_FILEMODE_BLOB_EXECUTABLE);
  }

  /// Kind and content; permissions are the user's own.
  static Result<bool> matches(const Found& found, std::uint32_t mode, const git_oid& id) {
    switch (found.kind) {
      case Found::Kind::missing:
        return mode == 0;
      case Found::Kind::file:
        if (!is_file_mode(mode)) return false;
        break;
      case Found::Kind::link:
        if (mode != GIT_FILEMODE_LINK) return false;
        break;
      default:
        return false;
    }
    git_oid actual;
    FR_CHECK(git_check(
        git_odb_hash(&actual, found.content.data(), found.content.size(), GIT_OBJECT_BLOB),
        "hash a file"));
    return git_oid_equal(&actual, &id) != 0;
  }

  Result<bool> merge(const ChangedEntry& entry, const Found& found, Step& step) {
    GitBlob old_blob;
    GitBlob new_blob;
    FR_CHECK(git_check(git_blob_lookup(out(old_blob), &repository_, &entry.old_id), "read a blob"));
    FR_CHECK(git_check(git_blob_lookup(out(new_blob), &repository_, &entry.new_id), "read a blob"));
    const auto text_of = [](const GitBlob& blob) {
      return std::string_view(static_cast<const char*>(git_blob_rawcontent(blob.get())),
                              static_cast<std::size_t>(git_blob_rawsize(blob.get())));
    };
    const std::array<std::string_view, 3> texts{text_of(old_blob), found.content,
                                                text_of(new_blob)};
    std::array<git_merge_file_input, 3> inputs{};
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const bool binary = texts[i].substr(0, 8000).find('\0') != std::string_view::npos;
      if (binary || texts[i].size() > max_applied_file_bytes) return false;
      FR_CHECK(git_check(git_merge_file_input_init(&inputs[i], GIT_MERGE_FILE_INPUT_VERSION),
                         "merge input"));
      inputs[i].ptr = texts[i].data();
      inputs[i].size = texts[i].size();
    }
    git_merge_file_result result{};
    FR_CHECK(git_check(git_merge_file(&result, &inputs[0], &inputs[1], &inputs[2], nullptr),
                       "merge " + quote_path(step.path)));
    if (result.automergeable != 0) step.merged.emplace(result.ptr, result.len);
    git_merge_file_result_free(&result);
    if (!step.merged) return false;
    merged_bytes_ += step.merged->size();
    if (merged_bytes_ <= max_merged_bytes) return true;
    return Error{ErrorCode::invalid_input,
                 "more than " + std::to_string(max_merged_bytes >> 20) +
                     " MiB would have to be merged; apply the bundle with git"};
  }

  static mode_t new_permissions(const ChangedEntry& entry, mode_t now) {
    if (entry.old_mode == entry.new_mode) return now;
    // As chmod +x does for a usual umask: who may read may execute.
    if (entry.new_mode == GIT_FILEMODE_BLOB_EXECUTABLE) return now | ((now & 0444) >> 2);
    return now & ~0111U;
  }

  /// All that lies below the folder is removed by these changes.
  bool will_be_empty(const std::string& path) const {
    std::error_code failure;
    const fs::path folder = work_tree_ / path;
    auto entry = fs::recursive_directory_iterator(folder, failure);
    for (; !failure && entry != fs::recursive_directory_iterator(); entry.increment(failure)) {
      const bool is_folder = !entry->is_symlink(failure) && entry->is_directory(failure);
      if (is_folder && !fs::is_empty(entry->path(), failure)) continue;
      const std::string below = entry->path().native().substr(work_tree_.native().size() + 1);
      if (is_folder || !removed_.contains(below)) return false;
    }
    return !failure;
  }

  [[nodiscard]] bool parent_is_removed(const std::string& path) const {
    for (std::string above = parent_of(path); !above.empty(); above = parent_of(above)) {
      if (removed_.contains(above)) return true;
    }
    return false;
  }

  git_repository& repository_;
  int top_;
  fs::path work_tree_;
  std::set<std::string> removed_;
  std::vector<Step> steps_;
  std::vector<std::string> conflicts_;
  std::uint64_t merged_bytes_ = 0;
};

/// The new contents, in a folder of the work tree so that they can be renamed into place.
class Staging {
 public:
  static Result<Staging> make(int top) {
    std::random_device random;
    std::array<char, 48> name{};
    std::snprintf(name.data(), name.size(), ".flow-runner-apply-%08x%08x", random(), random());
    if (::mkdirat(top, name.data(), 0700) != 0) return errno_error("cannot write to the work tree");
    Staging staging(top, name.data());
    staging.folder_ = Descriptor(open_beneath(top, staging.name_, O_RDONLY | O_DIRECTORY));
    if (!staging.folder_) return errno_error("cannot open the staging folder");
    return staging;
  }
  Staging(Staging&& other) noexcept
      : top_(other.top_),
        name_(std::exchange(other.name_, {})),
        folder_(std::move(other.folder_)),
        count_(std::exchange(other.count_, 0)) {}
  Staging& operator=(Staging&&) = delete;
  ~Staging() {
    for (std::size_t i = 0; i < count_; ++i)
      ::unlinkat(folder_.get(), std::to_string(i).c_str(), 0);
    if (!name_.empty()) ::unlinkat(top_, name_.c_str(), AT_REMOVEDIR);
  }

  [[nodiscard]] int folder() const { return folder_.get(); }

  /// Writes the content of a step; it gets the next number as its name.
  Result<void> add(git_odb& objects, const Step& step) {
    const std::string name = std::to_string(count_++);
    if (step.merged) return write_regular(name, step, *step.merged);
    GitOdbObject object;
    FR_CHECK(
        git_check(git_odb_read(out(object), &objects, &step.id), "read " + quote_path(step.path)));
    const std::string content(static_cast<const char*>(git_odb_object_data(object.get())),
                              git_odb_object_size(object.get()));
    if (step.mode != GIT_FILEMODE_LINK) return write_regular(name, step, content);
    if (content.find('\0') != std::string::npos ||
        ::symlinkat(content.c_str(), folder_.get(), name.c_str()) != 0) {
      return errno_error("cannot make the link " + quote_path(step.path));
    }
    return {};
  }

 private:
  Staging(int top, std::string name) : top_(top), name_(std::move(name)) {}

  Result<void> write_regular(const std::string& name, const Step& step, std::string_view content) {
    const Descriptor file(::openat(folder_.get(), name.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                                   step.existed ? 0600 : step.permissions));
    if (!file) return errno_error("cannot write " + quote_path(step.path));
    FR_CHECK(write_all(file.get(), content));
    // The user's umask is for new files only.
    if (step.existed && ::fchmod(file.get(), step.permissions) != 0) {
      return errno_error("cannot set the mode of " + quote_path(step.path));
    }
    return {};
  }

  int top_;
  std::string name_;
  Descriptor folder_;
  std::size_t count_ = 0;
};

Result<void> remove_file(int top, const std::string& path) {
  const Descriptor folder(open_beneath(top, parent_of(path), O_PATH | O_DIRECTORY));
  if (!folder || ::unlinkat(folder.get(), name_of(path).c_str(), 0) != 0) {
    return errno_error("cannot remove " + quote_path(path));
  }
  // A folder that became empty goes too, as git does it; any failure means it is still in use.
  for (std::string above = parent_of(path); !above.empty(); above = parent_of(above)) {
    const Descriptor outer(open_beneath(top, parent_of(above), O_PATH | O_DIRECTORY));
    if (!outer || ::unlinkat(outer.get(), name_of(above).c_str(), AT_REMOVEDIR) != 0) break;
  }
  return {};
}

Result<void> move_into_place(int top, const Staging& staging, std::size_t number,
                             const std::string& path) {
  const std::string parent = parent_of(path);
  Descriptor folder(open_beneath(top, "", O_PATH | O_DIRECTORY));
  for (std::size_t begin = 0; begin < parent.size();) {
    const std::size_t end = std::min(parent.find('/', begin), parent.size());
    const std::string part = parent.substr(begin, end - begin);
    begin = end + 1;
    if (::mkdirat(folder.get(), part.c_str(), 0777) != 0 && errno != EEXIST) {
      return errno_error("cannot make the folder of " + quote_path(path));
    }
    folder = Descriptor(open_beneath(folder.get(), part, O_PATH | O_DIRECTORY));
  }
  if (!folder || ::renameat(staging.folder(), std::to_string(number).c_str(), folder.get(),
                            name_of(path).c_str()) != 0) {
    return errno_error("cannot put " + quote_path(path) + " into place");
  }
  return {};
}

Result<void> carry_out(const std::vector<Step>& steps, git_odb& objects, int top) {
  FR_TRY(Staging staging, Staging::make(top));
  for (const Step& step : steps) {
    if (step.mode != 0) FR_CHECK(staging.add(objects, step));
  }
  const auto partly = [](Error error) -> Error {
    return {error.code,
            error.message + "; a part of the changes was applied: mend this and apply again"};
  };
  // Removals first: a file may have to make room for a folder, and the other way round.
  for (const Step& step : steps) {
    if (step.mode != 0) continue;
    if (auto removed = remove_file(top, step.path); !removed) return partly(removed.error());
  }
  std::size_t number = 0;
  for (const Step& step : steps) {
    if (step.mode == 0) continue;
    if (auto moved = move_into_place(top, staging, number++, step.path); !moved)
      return partly(moved.error());
  }
  return {};
}

}  // namespace

Result<ApplyInfo> apply_changes(const ApplyRequest& request) {
  GitRepository repository;
  GitOdb objects;
  FR_CHECK(git_check(git_repository_open_bare(out(repository), request.repository.c_str()),
                     "open the repository"));
  FR_CHECK(git_check(git_repository_odb(out(objects), repository.get()),
                     "open the repository's objects"));
  FR_TRY(const GitTree from, tree_of_commit(*repository, request.old_commit));
  FR_TRY(const GitTree to, tree_of_commit(*repository, request.new_commit));
  FR_TRY(const GitDiff diff, diff_trees(*repository, *from, *to, DiffPurpose::names));
  const auto entries = changed_entries(*diff);
  FR_TRY(const Descriptor top, open_file(request.work_tree, O_RDONLY | O_DIRECTORY));

  ApplyPlan plan(*repository, top.get(), request.work_tree);
  FR_CHECK(plan.make(entries));
  ApplyInfo info;
  info.conflicts = plan.conflicts();
  if (!info.conflicts.empty()) return info;
  for (const ChangedEntry& entry : entries) info.changes.push_back(entry.change);
  if (!request.dry_run && !plan.steps().empty())
    FR_CHECK(carry_out(plan.steps(), *objects, top.get()));
  return info;
}

}  // namespace flow_runner
