#include "executor/git_snapshot.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <optional>
#include <random>
#include <sys/stat.h>
#include <unistd.h>

#include "config/quoted_path.hpp"
#include "executor/git_checkout.hpp"
#include "executor/git_delta.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_index_file.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_named_submodules = 20;
constexpr std::size_t max_index_bytes = 1U << 30;

/// Files of a snapshot must not depend on the umask of whoever calls.
class UmaskScope {
 public:
  UmaskScope() : old_(::umask(022)) {}
  UmaskScope(const UmaskScope&) = delete;
  UmaskScope& operator=(const UmaskScope&) = delete;
  ~UmaskScope() { ::umask(old_); }

 private:
  mode_t old_;
};

/// A folder that is removed with all it holds unless it was kept.
class UnfinishedFolder {
 public:
  static Result<UnfinishedFolder> beside(const fs::path& target) {
    std::random_device random;
    char suffix[24];
    std::snprintf(suffix, sizeof suffix, ".tmp-%08x%08x", random(), random());
    fs::path path = target;
    path += suffix;
    if (::mkdir(path.c_str(), 0755) != 0) return errno_error("cannot make " + path.string());
    return UnfinishedFolder(std::move(path));
  }
  UnfinishedFolder(UnfinishedFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  UnfinishedFolder& operator=(UnfinishedFolder&&) = delete;
  ~UnfinishedFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }
  Result<void> move_to(const fs::path& target) {
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0) {
      return errno_error("cannot put the snapshot at " + target.string());
    }
    path_.clear();
    return {};
  }

 private:
  explicit UnfinishedFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

struct Commit {
  std::string hex;
  git_oid tree{};
  std::int64_t time = 0;
};

Result<Commit> read_commit(git_repository& mirror, const std::string& hex) {
  FR_TRY(const git_oid id, parse_oid(hex, "the commit to check out"));
  GitCommit commit;
  FR_CHECK(git_check(git_commit_lookup(out(commit), &mirror, &id), "read commit " + hex));
  return Commit{hex, *git_commit_tree_id(commit.get()), git_commit_time(commit.get())};
}

// Whoever makes a commit chooses its time: it must neither lie in the future, where every entry of
// the index would count as racy, nor outside what the index can hold.
std::uint32_t file_time(std::int64_t commit_time) {
  const std::int64_t latest = std::min<std::int64_t>(std::time(nullptr) - 10, 0xFFFFFFFF);
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(commit_time, 1, std::max<std::int64_t>(latest, 1)));
}

Result<Descriptor> open_top(const fs::path& tree) {
  if (::mkdir(tree.c_str(), 0755) != 0) return errno_error("cannot make " + tree.string());
  return open_file(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/// The finish that full and delta share.
Result<void> write_index(int top, std::string_view bytes) {
  if (::mkdirat(top, ".git", 0755) != 0) return errno_error("cannot make the snapshot's .git");
  const Descriptor file(
      ::openat(top, ".git/index", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return errno_error("cannot make the snapshot's index");
  return write_all(file.get(), bytes);
}

void add_submodule(SnapshotInfo& info, std::string_view path, std::uint32_t mode) {
  if (mode == GIT_FILEMODE_COMMIT && info.submodules.size() < max_named_submodules) {
    info.submodules.emplace_back(path);
  }
}

CheckoutOptions checkout_options(const SnapshotRequest& request, std::uint32_t mtime,
                                 const GitProgress& progress) {
  CheckoutOptions options{.mirror = request.mirror, .mtime = mtime, .progress = {}};
  if (progress) {
    options.progress = [&progress](std::uint64_t done, std::uint64_t total) {
      progress("checking out", done, total);
    };
  }
  return options;
}

std::uint64_t count_written(const CheckoutPlan& plan) {
  return static_cast<std::uint64_t>(
      std::count_if(plan.files.begin(), plan.files.end(),
                    [](const PlannedFile& file) { return file.mode != GIT_FILEMODE_COMMIT; }));
}

Result<SnapshotInfo> write_full(git_repository& mirror, const Commit& commit,
                                const SnapshotRequest& request, const fs::path& folder,
                                const GitProgress& progress) {
  CheckoutPlan plan;
  FR_TRY(const CachedTree trees, plan_tree(mirror, commit.tree, 0, plan));
  FR_TRY(const Descriptor top, open_top(folder / "tree"));
  const std::uint32_t mtime = file_time(commit.time);
  FR_TRY(const CheckoutOutcome outcome,
         write_checkout(plan, top.get(), checkout_options(request, mtime, progress)));
  SnapshotInfo info;
  info.commit = commit.hex;
  info.bytes = outcome.bytes;
  info.lfs = outcome.lfs;
  info.files = count_written(plan);
  IndexWriter writer(plan.files.size() * 128);
  for (const PlannedFile& file : plan.files) {
    const bool gitlink = file.mode == GIT_FILEMODE_COMMIT;
    FR_CHECK(writer.add({file.path, file.id, file.mode, gitlink ? 0 : mtime,
                         static_cast<std::uint32_t>(file.size)}));
    add_submodule(info, file.path, file.mode);
  }
  FR_CHECK(write_index(top.get(), writer.finish(trees)));
  return info;
}

struct BaseSnapshot {
  SnapshotInfo info;
  git_oid tree{};
  IndexFile index;
};

Result<BaseSnapshot> read_base(git_repository& mirror, const fs::path& directory) {
  FR_TRY(const std::string text, read_file(directory / "snapshot.json", 1U << 20));
  FR_TRY(SnapshotInfo info, from_json<SnapshotInfo>(nlohmann::json::parse(text, nullptr, false)));
  if (info.version != SnapshotInfo{}.version || !info.base_commit.empty()) {
    return Error{ErrorCode::invalid_input, "the base is no full snapshot of this version"};
  }
  FR_TRY(const Commit commit, read_commit(mirror, info.commit));
  FR_TRY(std::string bytes, read_file(directory / "tree/.git/index", max_index_bytes));
  FR_TRY(IndexFile index, IndexFile::parse(std::move(bytes)));
  return BaseSnapshot{std::move(info), commit.tree, std::move(index)};
}

/// Whether any .gitattributes of the index names filter=lfs: asked when one of them changed.
Result<bool> index_names_lfs(git_repository& mirror, const IndexFile& index) {
  std::vector<git_oid> attributes;
  index.for_each(
      [&](std::string_view path, std::uint32_t mode, const git_oid& id, std::string_view) {
        const std::string_view name = path.substr(path.rfind('/') + 1);
        if (name == ".gitattributes" && mode != GIT_FILEMODE_COMMIT) attributes.push_back(id);
      });
  for (const git_oid& id : attributes) {
    GitBlob blob;
    FR_CHECK(git_check(git_blob_lookup(out(blob), &mirror, &id), "read a .gitattributes"));
    const auto size = static_cast<std::size_t>(git_blob_rawsize(blob.get()));
    if (names_lfs({static_cast<const char*>(git_blob_rawcontent(blob.get())), size})) return true;
  }
  return false;
}

/// No value: the change is too big, or a tree cannot be used. Whatever the reason, the full
/// checkout decides about the commit itself.
std::optional<DeltaPlan> try_plan(git_repository& mirror, const Commit& commit,
                                  BaseSnapshot& base) {
  const std::uint64_t limit = std::min(max_delta_changes, base.info.files / 4);
  auto plan = plan_delta(mirror, base.tree, commit.tree, base.index.take_trees(), limit);
  if (!plan) return std::nullopt;
  return std::move(*plan);
}

Result<SnapshotInfo> write_delta(git_repository& mirror, const Commit& commit, BaseSnapshot& base,
                                 DeltaPlan& plan, const SnapshotRequest& request,
                                 const fs::path& folder, const GitProgress& progress) {
  FR_TRY(const Descriptor top, open_top(folder / "tree"));
  const std::uint32_t mtime = file_time(commit.time);
  FR_TRY(const CheckoutOutcome outcome,
         write_checkout(plan.checkout, top.get(), checkout_options(request, mtime, progress)));
  FR_CHECK(write_whiteouts(plan, top.get()));
  SnapshotInfo info;
  info.commit = commit.hex;
  info.base_commit = base.info.commit;
  info.files = count_written(plan.checkout);
  info.bytes = outcome.bytes;
  FR_TRY(std::string bytes, patched_index(base.index, plan, mtime));
  FR_CHECK(write_index(top.get(), bytes));
  FR_TRY(const IndexFile index, IndexFile::parse(std::move(bytes)));
  index.for_each([&](std::string_view path, std::uint32_t mode, const git_oid&, std::string_view) {
    add_submodule(info, path, mode);
  });
  info.lfs = base.info.lfs;
  if (plan.attributes_changed) {
    FR_TRY(info.lfs, index_names_lfs(mirror, index));
  }
  return info;
}

Result<SnapshotInfo> write_snapshot(git_repository& mirror, const Commit& commit,
                                    const SnapshotRequest& request, const fs::path& folder,
                                    const GitProgress& progress) {
  if (!request.base.empty()) {
    auto base = read_base(mirror, request.base);
    if (base) {
      auto plan = try_plan(mirror, commit, *base);
      if (plan) return write_delta(mirror, commit, *base, *plan, request, folder, progress);
    }
  }
  return write_full(mirror, commit, request, folder, progress);
}

}  // namespace

Result<SnapshotInfo> make_snapshot(const SnapshotRequest& request, const GitProgress& progress) {
  GitRepository mirror;
  FR_CHECK(
      git_check(git_repository_open_bare(out(mirror), request.mirror.c_str()), "open the mirror"));
  FR_TRY(const Commit commit, read_commit(*mirror, request.commit));
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(request.directory, ignored))) {
    return Error{ErrorCode::invalid_input, "the snapshot's folder is there already: " +
                                               quote_path(request.directory.native())};
  }
  const UmaskScope umask_scope;
  FR_TRY(UnfinishedFolder folder, UnfinishedFolder::beside(request.directory));
  FR_TRY(const SnapshotInfo info,
         write_snapshot(*mirror, commit, request, folder.path(), progress));
  const std::string json = to_json(info).dump(2) + '\n';
  FR_TRY(const Descriptor file,
         open_file(folder.path() / "snapshot.json", O_WRONLY | O_CREAT | O_EXCL, 0644));
  FR_CHECK(write_all(file.get(), json));
  FR_CHECK(folder.move_to(request.directory));
  return info;
}

}  // namespace flow_runner
