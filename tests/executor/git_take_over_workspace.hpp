// TakeOverWorkspace: a mirror, a snapshot and a real overlay mount or copy for the take-over's
// tests.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "executor/git_content_sink.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_protocol.hpp"
#include "executor/workspace.hpp"

namespace flow_runner {

/// Remembers what it is shown.
class RecordingSink final : public ContentSink {
 public:
  struct Piece {
    ContentKind kind = ContentKind::blob;
    std::string commit;
    std::string path;
    std::string bytes;
    std::uint64_t size = 0;
  };
  void begin(ContentKind kind, std::string_view commit, std::string_view path,
             std::uint64_t size) override {
    pieces.push_back({.kind = kind,
                      .commit = std::string(commit),
                      .path = std::string(path),
                      .bytes = {},
                      .size = size});
  }
  void bytes(std::string_view bytes) override { pieces.back().bytes += bytes; }
  [[nodiscard]] bool has(ContentKind kind, std::string_view bytes) const;

  std::vector<Piece> pieces;
};

/// Empty: tests with overlay mounts can run here (the process then has a mount namespace of its
/// own); else the reason why not.
std::string why_no_overlay();

/// Everything lies on a tmpfs that vanishes with the object. "Agents" are plain shell scripts with
/// the host's git, run in the merged folder.
class TakeOverWorkspace {
 public:
  /// `base` is a script that makes the base commit's files.
  explicit TakeOverWorkspace(std::string_view base, WorkspaceKind kind = WorkspaceKind::overlay);
  TakeOverWorkspace(const TakeOverWorkspace&) = delete;
  TakeOverWorkspace& operator=(const TakeOverWorkspace&) = delete;
  ~TakeOverWorkspace();

  /// Runs the script in the workspace and returns its output; throws when it fails.
  std::string agent(std::string_view script) const { return run(script, merged()); }
  std::string run(std::string_view script, const std::filesystem::path& folder) const;
  /// git in the quarantine.
  std::string git(std::string_view arguments) const {
    return run("git " + std::string(arguments), quarantine());
  }

  [[nodiscard]] TakeOverRequest request() const;
  Result<ChangeSet> take(ContentSink& sink, TakeOverRequest request);
  /// Fails the test when take-over does.
  ChangeSet take();

  /// The tree that `git add -A` makes of the merged folder, with a git dir of its own.
  [[nodiscard]] std::string expected_tree() const;
  [[nodiscard]] std::string tree_of(const std::string& commit) const {
    return git("rev-parse " + commit + "^{tree}");
  }
  /// "A path" lines.
  static std::string listing(const ChangeSet& changes);

  [[nodiscard]] const std::string& base() const { return base_; }
  [[nodiscard]] std::filesystem::path root() const { return root_; }
  [[nodiscard]] std::filesystem::path merged() const { return root_ / "merged"; }
  [[nodiscard]] std::filesystem::path mirror() const { return root_ / "mirror"; }
  [[nodiscard]] std::filesystem::path quarantine() const { return root_ / "quarantine"; }

 private:
  void make_copy() const;

  GitLibrary library_;
  WorkspaceKind kind_;
  std::filesystem::path root_;
  std::string base_;
};

}  // namespace flow_runner

/// First line of each test that needs the overlay.
#define NEED_OVERLAY()                                                       \
  if (const std::string why = flow_runner::why_no_overlay(); !why.empty()) { \
    MESSAGE("skipped: " << why);                                             \
    return;                                                                  \
  }                                                                          \
  static_assert(true)
