#include "executor/workspace.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "executor/workspace_copy.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/mount.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_shallow_file = 64 << 20;

Result<void> make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return Error{ErrorCode::internal, "cannot make " + path.string() + ": " + error.message()};
  return {};
}

Result<void> write_file(const std::filesystem::path& path, std::string_view content) {
  FR_CHECK(make_directories(path.parent_path()));
  FR_TRY(const Descriptor file, open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return write_all(file.get(), content);
}

std::filesystem::path copy_folder(const std::filesystem::path& overlay) { return overlay / "copy"; }
std::filesystem::path mark_file(const std::filesystem::path& overlay) {
  return overlay / "copy.mark";
}

std::vector<std::filesystem::path> with_git_layer(const WorkspaceSpec& spec) {
  auto layers = spec.snapshot_layers;
  layers.push_back(spec.overlay / "git");
  return layers;
}

std::string remote_tracking(const std::string& branch) { return "refs/remotes/origin/" + branch; }

}  // namespace

std::vector<std::pair<std::string, std::string>> git_layer_files(const WorkspaceSpec& spec) {
  std::vector<std::pair<std::string, std::string>> files;
  files.emplace_back("HEAD", spec.commit + "\n");
  // checkStat and trustctime keep the snapshot's index fresh through the overlay, where inode and
  // change time differ from what the index recorded.
  std::string config =
      "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
      "\tlogallrefupdates = true\n\tcheckStat = minimal\n\ttrustctime = false\n";
  if (!spec.url.empty())
    config += "[remote \"origin\"]\n\turl = " + spec.url +
              "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n";
  files.emplace_back("config", std::move(config));
  files.emplace_back("objects/info/alternates", std::string(objects_in_container) + "\n");

  constexpr std::string_view heads = "refs/heads/";
  std::string refs = "# pack-refs with: peeled fully-peeled sorted\n";
  std::vector<std::pair<std::string, std::string>> tracking;
  if (spec.default_tip && !spec.default_branch.empty()) {
    tracking.emplace_back(remote_tracking(spec.default_branch), *spec.default_tip);
    files.emplace_back("refs/remotes/origin/HEAD",
                       "ref: " + remote_tracking(spec.default_branch) + "\n");
  }
  if (spec.workload_ref.starts_with(heads))
    tracking.emplace_back(remote_tracking(spec.workload_ref.substr(heads.size())),
                          spec.workload_tip.value_or(spec.commit));
  std::sort(tracking.begin(), tracking.end());
  for (const auto& [name, commit] : tracking) refs += commit + " " + name + "\n";
  files.emplace_back("packed-refs", std::move(refs));
  return files;
}

namespace {

Result<void> create_copy(const WorkspaceSpec& spec, const std::stop_token& stop) {
  const CopyRequest request{.layers = with_git_layer(spec),
                            .target = copy_folder(spec.overlay),
                            .uid = spec.owner_uid,
                            .gid = spec.owner_gid,
                            .stop = stop};
  FR_TRY(const CopyMark mark, copy_layers(request));
  return replace_file(mark_file(spec.overlay), format_copy_mark(mark), 0600);
}

}  // namespace

Result<void> Workspace::create(const WorkspaceSpec& spec, const std::stop_token& stop) {
  const auto git = spec.overlay / "git/.git";
  for (const char* folder : {"refs/heads", "refs/tags", "objects/pack", "objects/info"})
    FR_CHECK(make_directories(git / folder));
  for (const auto& [name, content] : git_layer_files(spec))
    FR_CHECK(write_file(git / name, content));
  if (!spec.shallow_file.empty()) {
    FR_TRY(const std::string shallow, read_file(spec.shallow_file, max_shallow_file));
    FR_CHECK(write_file(git / "shallow", shallow));
  }
  if (spec.kind == WorkspaceKind::copy) return create_copy(spec, stop);
  for (const char* folder : {"upper", "work"}) FR_CHECK(make_directories(spec.overlay / folder));
  // The merged folder's owner and mode are the upper's.
  const auto upper = spec.overlay / "upper";
  if (::chown(upper.c_str(), spec.owner_uid, spec.owner_gid) != 0 ||
      ::chmod(upper.c_str(), 0755) != 0)
    return errno_error("cannot give the workspace to the job's user");
  return {};
}

Result<Workspace> Workspace::mount(const WorkspaceSpec& spec) {
  const auto merged = spec.scratch / "merged";
  if (spec.kind == WorkspaceKind::copy) {
    if (::access(mark_file(spec.overlay).c_str(), F_OK) != 0)
      return errno_error("the workspace's copy was never finished: cannot read its mark");
    FR_CHECK(make_directories(merged));
    FR_CHECK(mount_bind(copy_folder(spec.overlay), merged, BindMode::read_write));
    return Workspace(spec.kind, merged, spec.overlay);
  }
  const auto layers = spec.scratch / "layers";
  for (const auto& folder : {merged, layers})
    if (::mkdir(folder.c_str(), 0755) != 0) return errno_error("cannot make " + folder.string());
  FR_TRY(const Descriptor map,
         make_id_map({{::geteuid(), spec.owner_uid, 1}}, {{::getegid(), spec.owner_gid, 1}}));
  OverlaySpec overlay{.lower = with_git_layer(spec),
                      .upper = spec.overlay / "upper",
                      .work = spec.overlay / "work"};
  FR_CHECK(mount_overlay(overlay, merged, layers, map.get()));
  return Workspace(spec.kind, merged, spec.overlay);
}

bool Workspace::may_hold_work(WorkspaceKind kind, const std::filesystem::path& overlay) {
  std::error_code ignored;
  if (kind == WorkspaceKind::copy) return std::filesystem::exists(mark_file(overlay), ignored);
  return std::filesystem::exists(overlay / "upper", ignored) &&
         !std::filesystem::is_empty(overlay / "upper", ignored);
}

std::filesystem::path Workspace::upper() const {
  return kind_ == WorkspaceKind::overlay ? overlay_ / "upper" : std::filesystem::path();
}

std::filesystem::path Workspace::copy_mark() const {
  return kind_ == WorkspaceKind::copy ? mark_file(overlay_) : std::filesystem::path();
}

Result<bool> Workspace::touched() const {
  if (kind_ == WorkspaceKind::copy) return true;
  std::error_code error;
  const bool empty = std::filesystem::is_empty(upper(), error);
  if (error) return Error{ErrorCode::internal, "cannot read the workspace: " + error.message()};
  return !empty;
}

}  // namespace flow_runner
