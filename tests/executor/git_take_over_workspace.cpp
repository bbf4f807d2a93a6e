#include "tests/executor/git_take_over_workspace.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <fstream>
#include <sched.h>
#include <stdexcept>
#include <sys/mount.h>
#include <unistd.h>

#include "executor/git_take_over.hpp"
#include "executor/workspace_copy.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

std::string enter_namespace() {
  if (geteuid() != 0) return "overlay mounts with trusted.* marks need root";
  if (unshare(CLONE_NEWNS) != 0) return "no mount namespace: " + std::string(std::strerror(errno));
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "no private mounts";
  return {};
}

}  // namespace

bool RecordingSink::has(ContentKind kind, std::string_view bytes) const {
  for (const auto& piece : pieces) {
    if (piece.kind == kind && piece.bytes.find(bytes) != std::string::npos) return true;
  }
  return false;
}

std::string why_no_overlay() {
  static const std::string reason = enter_namespace();
  return reason;
}

TakeOverWorkspace::TakeOverWorkspace(std::string_view base, WorkspaceKind kind) : kind_(kind) {
  std::string name = fs::temp_directory_path() / "flow-runner-take-over-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  root_ = name;
  if (mount("test", name.c_str(), "tmpfs", 0, "mode=0755") != 0) throw std::runtime_error("tmpfs");
  for (const char* folder : {"seed", "upper", "work", "merged"})
    fs::create_directory(root_ / folder);
  run("git init -q -b main . && git config core.protectNTFS false && (" + std::string(base) +
          "\n) && git add -A . && git commit -q --allow-empty -m base && git clone -q --bare . "
          "../mirror && git clone -q -s ../mirror ../lower && git -C ../lower checkout -q --detach",
      root_ / "seed");
  base_ = run("git rev-parse HEAD", root_ / "mirror");
  if (kind_ == WorkspaceKind::copy) {
    make_copy();
    return;
  }
  const std::string options =
      "lowerdir=" + (root_ / "lower").string() + ",upperdir=" + (root_ / "upper").string() +
      ",workdir=" + (root_ / "work").string() + ",redirect_dir=on,metacopy=off,index=off";
  if (mount("overlay", merged().c_str(), "overlay", 0, options.c_str()) != 0) {
    throw std::runtime_error("overlay mount: " + std::string(std::strerror(errno)));
  }
}

void TakeOverWorkspace::make_copy() const {
  const CopyRequest copy{.layers = {root_ / "lower"}, .target = root_ / "copy"};
  const auto mark = copy_layers(copy);
  if (!mark) throw std::runtime_error(mark.error().message);
  std::ofstream(root_ / "copy.mark") << format_copy_mark(*mark);
  if (mount((root_ / "copy").c_str(), merged().c_str(), "", MS_BIND, nullptr) != 0)
    throw std::runtime_error("bind mount: " + std::string(std::strerror(errno)));
}

TakeOverWorkspace::~TakeOverWorkspace() {
  umount2(merged().c_str(), MNT_DETACH);
  umount2(root_.c_str(), MNT_DETACH);
  rmdir(root_.c_str());
}

std::string TakeOverWorkspace::run(std::string_view script, const fs::path& folder) const {
  const fs::path file = root_ / "script.sh";
  std::ofstream(file) << "set -e\n" << script << "\n";
  const std::string command =
      "cd '" + folder.string() + "' && env -i PATH=\"$PATH\" HOME=/nonexistent LC_ALL=C " +
      "GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory "
      "GIT_CONFIG_VALUE_0='*' GIT_AUTHOR_NAME=Agent GIT_AUTHOR_EMAIL=agent@example.com "
      "GIT_COMMITTER_NAME=Agent GIT_COMMITTER_EMAIL=agent@example.com "
      "GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' "
      "sh '" +
      file.string() + "' </dev/null 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  std::string output;
  std::array<char, 4096> piece{};
  while (const std::size_t count = fread(piece.data(), 1, piece.size(), pipe)) {
    output.append(piece.data(), count);
  }
  const int status = pclose(pipe);
  if (status != 0) throw std::runtime_error(std::string(script) + "\nfailed: " + output);
  while (output.ends_with('\n')) output.pop_back();
  return output;
}

TakeOverRequest TakeOverWorkspace::request() const {
  TakeOverRequest request;
  request.mirror = mirror();
  request.merged = merged();
  if (kind_ == WorkspaceKind::copy)
    request.copy_mark = root_ / "copy.mark";
  else
    request.upper = root_ / "upper";
  request.quarantine = quarantine();
  request.base = base_;
  request.author = "flow-runner <flow-runner@localhost>";
  request.committer = "Committer <committer@localhost>";
  request.message = "Changes by agent\n\nFlow-Job: 1\n";
  request.time = 1'700'000'100;
  request.confine = false;
  return request;
}

Result<ChangeSet> TakeOverWorkspace::take(ContentSink& sink, TakeOverRequest wanted) {
  fs::remove_all(quarantine());
  return take_over(wanted, sink);
}

ChangeSet TakeOverWorkspace::take() {
  NullContentSink sink;
  auto changes = take(sink, request());
  REQUIRE_MESSAGE(changes.has_value(), changes.error().message);
  // Whatever came in, plain git must find the quarantine whole.
  git("fsck --strict --no-dangling " + changes->head);
  return *changes;
}

std::string TakeOverWorkspace::expected_tree() const {
  return run(
      "rm -rf oracle && git init -q --bare oracle && "
      "echo " +
          (mirror() / "objects").string() +
          " > oracle/objects/info/alternates && "
          "export GIT_DIR=$PWD/oracle GIT_WORK_TREE=$PWD/merged && git config core.bare false && "
          "rm -f oracle/info/exclude && git read-tree " +
          base_ +
          " && cd merged && "
          "git add -A . 2>/dev/null && git write-tree",
      root_);
}

std::string TakeOverWorkspace::listing(const ChangeSet& changes) {
  std::string text;
  for (const auto& change : changes.changes) {
    text += static_cast<char>(change.status);
    text += " " + change.path + (change.lfs ? " lfs" : "") + "\n";
  }
  return text;
}

}  // namespace flow_runner
