// The patterns of .gitignore and .gitattributes, read as data and matched in bounded time.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"
#include "executor/git_workspace_view.hpp"

namespace flow_runner {

/// Whether `text` matches as git's wildmatch with WM_PATHNAME: `*` and `?` stop at '/', `**` as a
/// whole component crosses it, `[…]` with ranges and classes, `\` takes the next byte literally.
/// Time is at most |pattern| × |text|².
bool wildmatch(std::string_view pattern, std::string_view text);

/// One line of such a file.
struct PathPattern {
  std::string pattern;  ///< without '!', leading and trailing '/'
  bool negated = false;
  bool folders_only = false;
  bool by_name = false;  ///< has no '/': compared with the last component only

  /// `path` is relative to the folder of the file that holds the pattern.
  [[nodiscard]] bool matches(std::string_view path, FileKind kind) const;
};

/// Reads a .gitignore; blank lines and comments yield nothing. Patterns over 4096 bytes, which
/// match no path, are dropped.
std::vector<PathPattern> parse_ignore_file(std::string_view text);

/// What the workspace's .gitignore files say of paths. Only regular files of at most 1 MiB count;
/// `.git/info/exclude` and core.excludesFile, which no one else would see, do not.
class IgnoreRules {
 public:
  explicit IgnoreRules(const WorkspaceView& workspace) : workspace_(workspace) {}
  /// Whether git would leave the untracked path out.
  Result<bool> ignored(const std::string& path, FileKind kind);

 private:
  struct Folder {
    bool ignored = false;
    std::vector<PathPattern> patterns;
  };
  Result<const Folder*> folder(const std::string& path);
  Result<bool> decide(const std::string& path, FileKind kind);

  const WorkspaceView& workspace_;
  std::map<std::string, Folder, std::less<>> folders_;
};

/// Which paths a .gitattributes file gives to Git LFS.
class LfsRules {
 public:
  /// Adds the file of one folder ("" is the top one); add outer folders first. Macros ([attr]) of
  /// the top file are understood.
  void add(const std::string& folder, std::string_view text);
  [[nodiscard]] bool covers(std::string_view path) const;

 private:
  struct Rule {
    std::string folder;
    PathPattern pattern;
    bool lfs = false;
  };
  std::vector<Rule> rules_;  ///< the last that matches decides
  std::vector<std::string> macros_;
};

}  // namespace flow_runner
