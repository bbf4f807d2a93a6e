#include "executor/workspace.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

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

Result<void> Workspace::create(const WorkspaceSpec& spec) {
  const auto git = spec.overlay / "git/.git";
  for (const char* folder : {"refs/heads", "refs/tags", "objects/pack", "objects/info"})
    FR_CHECK(make_directories(git / folder));
  for (const auto& [name, content] : git_layer_files(spec))
    FR_CHECK(write_file(git / name, content));
  if (!spec.shallow_file.empty()) {
    FR_TRY(const std::string shallow, read_file(spec.shallow_file, max_shallow_file));
    FR_CHECK(write_file(git / "shallow", shallow));
  }
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
  const auto layers = spec.scratch / "layers";
  for (const auto& folder : {merged, layers})
    if (::mkdir(folder.c_str(), 0755) != 0) return errno_error("cannot make " + folder.string());
  FR_TRY(const Descriptor map,
         make_id_map({{::geteuid(), spec.owner_uid, 1}}, {{::getegid(), spec.owner_gid, 1}}));
  OverlaySpec overlay{.lower = spec.snapshot_layers,
                      .upper = spec.overlay / "upper",
                      .work = spec.overlay / "work"};
  overlay.lower.push_back(spec.overlay / "git");
  FR_CHECK(mount_overlay(overlay, merged, layers, map.get()));
  return Workspace(merged, spec.overlay);
}

Result<bool> Workspace::touched() const {
  std::error_code error;
  const bool empty = std::filesystem::is_empty(upper(), error);
  if (error) return Error{ErrorCode::internal, "cannot read the workspace: " + error.message()};
  return !empty;
}

}  // namespace flow_runner
