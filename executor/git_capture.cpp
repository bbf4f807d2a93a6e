#include "executor/git_capture.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/quoted_path.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_names.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_named_paths = 20;

struct Head {
  GitCommit commit;
  std::string hex;
  GitTree tree;  // read from the mirror
};

Result<Head> read_head(git_repository& source, git_repository& mirror) {
  git_oid id;
  const int code = git_reference_name_to_id(&id, &source, "HEAD");
  if (code == GIT_ENOTFOUND) {
    git_error_clear();
    return Error{ErrorCode::not_found, "the repository has no commit yet; make a first one"};
  }
  FR_CHECK(git_check(code, "read HEAD"));
  Head head;
  head.hex = to_hex(id);
  FR_CHECK(git_check(git_commit_lookup(out(head.commit), &mirror, &id),
                     "read HEAD's commit " + head.hex));
  FR_CHECK(git_check(git_commit_tree(out(head.tree), head.commit.get()), "read HEAD's tree"));
  return head;
}

/// The mirror's handle reads the source's objects too; nothing is written there.
Result<void> lend_objects(git_repository& source, git_repository& mirror) {
  GitBuffer path;
  GitOdb objects;
  FR_CHECK(git_check(git_repository_item_path(path.get(), &source, GIT_REPOSITORY_ITEM_OBJECTS),
                     "find the objects"));
  FR_CHECK(git_check(git_repository_odb(out(objects), &mirror), "open the mirror's objects"));
  return git_check(git_odb_add_disk_alternate(objects.get(), std::string(path.view()).c_str()),
                   "read the objects");
}

Result<GitStatusList> read_status(git_repository& source, const CaptureRequest& request) {
  git_status_options options;
  FR_CHECK(
      git_check(git_status_options_init(&options, GIT_STATUS_OPTIONS_VERSION), "status options"));
  options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
  // Neither a refresh of the index nor a look into submodules, whose configuration is not the
  // user's.
  options.flags = GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
  if (request.include_untracked) {
    options.flags |= GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS;
  }
  GitStatusList list;
  FR_CHECK(
      git_check(git_status_list_new(out(list), &source, &options), "read the work tree's state"));
  return list;
}

/// What of the work tree goes into the commit's index.
class Capture {
 public:
  Capture(git_repository& source, git_odb& objects, git_index& index, int top)
      : source_(source), objects_(objects), index_(index), top_(top) {}

  Result<void> prepare() {
    GitConfig config;
    FR_CHECK(
        git_check(git_repository_config_snapshot(out(config), &source_), "read the configuration"));
    int value = 1;
    if (git_config_get_bool(&value, config.get(), "core.filemode") == 0) trust_mode_ = value != 0;
    git_error_clear();
    return {};
  }

  /// Removals go first: a folder may have become a file.
  Result<void> remove_if_gone(const git_status_entry& entry) {
    const std::string path = path_of(entry);
    if (is_gitlink(path) || stays(entry, path)) return {};
    const int code = git_index_remove(&index_, path.c_str(), 0);
    if (code == GIT_ENOTFOUND)
      git_error_clear();
    else
      FR_CHECK(git_check(code, "remove " + quote_path(path)));
    return {};
  }

  Result<void> add_if_there(const git_status_entry& entry) {
    const std::string path = path_of(entry);
    // A nested repository is listed as a folder.
    if (path.ends_with('/') || is_gitlink(path) || !stays(entry, path)) return {};
    FR_CHECK(check_relative_path(path));
    struct stat info {};
    if (::fstatat(top_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return changed(path);
    git_index_entry added{};
    added.path = path.c_str();
    if (S_ISLNK(info.st_mode)) {
      added.mode = GIT_FILEMODE_LINK;
      FR_TRY(added.id, add_link(path));
    } else {
      added.mode = mode_of(path, info.st_mode);
      FR_TRY(added.id, add_file(path));
    }
    return git_check(git_index_add(&index_, &added), "add " + quote_path(path));
  }

  static std::string path_of(const git_status_entry& entry) {
    const git_diff_delta* delta =
        entry.index_to_workdir != nullptr ? entry.index_to_workdir : entry.head_to_index;
    return delta->new_file.path != nullptr ? delta->new_file.path : delta->old_file.path;
  }

 private:
  /// A regular file or link is there, and it is tracked or wanted. What was staged for removal and
  /// is not listed as untracked is ignored, or not asked for.
  bool stays(const git_status_entry& entry, const std::string& path) const {
    if ((entry.status & GIT_STATUS_WT_DELETED) != 0) return false;
    if ((entry.status & GIT_STATUS_INDEX_DELETED) != 0 && (entry.status & GIT_STATUS_WT_NEW) == 0) {
      return false;
    }
    struct stat info {};
    return ::fstatat(top_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           (S_ISREG(info.st_mode) || S_ISLNK(info.st_mode));
  }

  [[nodiscard]] bool is_gitlink(const std::string& path) const {
    const git_index_entry* entry = git_index_get_bypath(&index_, path.c_str(), 0);
    return entry != nullptr && entry->mode == GIT_FILEMODE_COMMIT;
  }

  [[nodiscard]] std::uint32_t mode_of(const std::string& path, mode_t mode) const {
    if (!trust_mode_) {
      const git_index_entry* entry = git_index_get_bypath(&index_, path.c_str(), 0);
      const bool executable = entry != nullptr && entry->mode == GIT_FILEMODE_BLOB_EXECUTABLE;
      return executable ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;
    }
    return (mode & S_IXUSR) != 0 ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;
  }

  static Error changed(const std::string& path) {
    return {ErrorCode::unavailable, quote_path(path) + " changed while it was read; try again"};
  }

  Result<void> count(std::uint64_t bytes, const std::string& path) {
    total_ += bytes;
    if (total_ <= max_captured_bytes) return {};
    return Error{ErrorCode::invalid_input,
                 "the uncommitted files have more than " +
                     std::to_string(max_captured_bytes >> 30) + " GiB, counted up to " +
                     quote_path(path) +
                     "; ignore what is not needed, or leave untracked files out"};
  }

  Result<git_oid> add_link(const std::string& path) {
    std::array<char, max_git_path_bytes + 1> target{};
    const ssize_t size = ::readlinkat(top_, path.c_str(), target.data(), target.size());
    if (size < 0) return changed(path);
    FR_CHECK(count(static_cast<std::uint64_t>(size), path));
    git_oid id;
    FR_CHECK(git_check(git_odb_write(&id, &objects_, target.data(), static_cast<std::size_t>(size),
                                     GIT_OBJECT_BLOB),
                       "write " + quote_path(path)));
    return id;
  }

  Result<git_oid> add_file(const std::string& path) {
    open_how how{};
    // Non-blocking, for the file may have become a pipe since it was looked at.
    how.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const Descriptor file(
        static_cast<int>(::syscall(SYS_openat2, top_, path.c_str(), &how, sizeof how)));
    if (!file) return errno_error("cannot read " + quote_path(path));
    struct stat info {};
    if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return changed(path);
    FR_CHECK(count(static_cast<std::uint64_t>(info.st_size), path));
    return stream_blob(file.get(), static_cast<std::uint64_t>(info.st_size), path);
  }

  Result<git_oid> stream_blob(int file, std::uint64_t size, const std::string& path) {
    GitOdbStream stream;
    FR_CHECK(git_check(git_odb_open_wstream(out(stream), &objects_,
                                            static_cast<git_object_size_t>(size), GIT_OBJECT_BLOB),
                       "write " + quote_path(path)));
    std::array<char, 1 << 16> buffer;
    std::uint64_t left = size;
    while (true) {
      const ssize_t got = ::read(file, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_error("cannot read " + quote_path(path));
      if (static_cast<std::uint64_t>(got) > left || (got == 0 && left > 0)) return changed(path);
      if (got == 0) break;
      left -= static_cast<std::uint64_t>(got);
      FR_CHECK(git_check(
          git_odb_stream_write(stream.get(), buffer.data(), static_cast<std::size_t>(got)),
          "write " + quote_path(path)));
    }
    git_oid id;
    FR_CHECK(
        git_check(git_odb_stream_finalize_write(&id, stream.get()), "write " + quote_path(path)));
    return id;
  }

  git_repository& source_;
  git_odb& objects_;
  git_index& index_;
  int top_;
  bool trust_mode_ = true;
  std::uint64_t total_ = 0;
};

Result<std::string> write_commit(git_repository& mirror, const Head& head, git_index& index) {
  git_oid tree_id;
  FR_CHECK(
      git_check(git_index_write_tree_to(&tree_id, &index, &mirror), "write the captured tree"));
  if (git_oid_equal(&tree_id, git_tree_id(head.tree.get())) != 0) return head.hex;
  GitTree tree;
  FR_CHECK(git_check(git_tree_lookup(out(tree), &mirror, &tree_id), "read the captured tree"));
  GitSignature who;
  FR_CHECK(git_check(git_signature_new(out(who), "flow-runner", "flow-runner@localhost",
                                       git_commit_time(head.commit.get()), 0),
                     "make a signature"));
  git_oid id;
  const git_commit* parents[] = {head.commit.get()};
  FR_CHECK(
      git_check(git_commit_create(&id, &mirror, nullptr, who.get(), who.get(), nullptr,
                                  "Uncommitted files of the work tree\n", tree.get(), 1, parents),
                "write the captured commit"));
  return to_hex(id);
}

}  // namespace

Result<CaptureInfo> capture_work_tree(const CaptureRequest& request) {
  GitRepository source;
  GitRepository mirror;
  FR_CHECK(git_check(git_repository_open_ext(out(source), request.repository.c_str(),
                                             GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr),
                     "open the repository " + quote_path(request.repository.native())));
  const char* work_tree = git_repository_workdir(source.get());
  if (work_tree == nullptr) {
    return Error{ErrorCode::invalid_input,
                 "the repository is bare: it has no work tree to capture"};
  }
  FR_CHECK(
      git_check(git_repository_open_bare(out(mirror), request.mirror.c_str()), "open the mirror"));
  FR_CHECK(lend_objects(*source, *mirror));
  FR_TRY(const Head head, read_head(*source, *mirror));
  FR_TRY(const GitStatusList status, read_status(*source, request));

  CaptureInfo info{.head = head.hex, .commit = head.hex, .dirty_paths = {}, .dirty_count = 0};
  const std::size_t count = git_status_list_entrycount(status.get());
  if (count == 0) return info;

  GitIndex index;
  GitOdb objects;
  FR_CHECK(git_check(git_index_new(out(index)), "make an index"));
  FR_CHECK(git_check(git_index_read_tree(index.get(), head.tree.get()), "read HEAD's tree"));
  FR_CHECK(git_check(git_repository_odb(out(objects), mirror.get()), "open the mirror's objects"));
  FR_TRY(const Descriptor top, open_file(work_tree, O_RDONLY | O_DIRECTORY));
  Capture capture(*source, *objects, *index, top.get());
  FR_CHECK(capture.prepare());
  for (std::size_t i = 0; i < count; ++i) {
    FR_CHECK(capture.remove_if_gone(*git_status_byindex(status.get(), i)));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const git_status_entry& entry = *git_status_byindex(status.get(), i);
    FR_CHECK(capture.add_if_there(entry));
    if (info.dirty_paths.size() < max_named_paths)
      info.dirty_paths.push_back(Capture::path_of(entry));
  }
  info.dirty_count = count;
  FR_TRY(info.commit, write_commit(*mirror, head, *index));
  if (info.commit == info.head) return CaptureInfo{head.hex, head.hex, {}, 0};
  return info;
}

}  // namespace flow_runner
