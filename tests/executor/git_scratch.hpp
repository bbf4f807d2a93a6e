// GitScratch: a temporary folder for tests, with the git program run in it free of the host's
// settings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace flow_runner::test {

/// Removed with all it holds when it is destroyed.
class GitScratch {
 public:
  GitScratch();
  GitScratch(const GitScratch&) = delete;
  GitScratch& operator=(const GitScratch&) = delete;
  ~GitScratch();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Runs a shell command in `folder` (relative to path()) and returns its stdout without the last
  /// newline. A failure fails the test, with the command and its stderr.
  std::string sh(std::string_view command, const std::filesystem::path& folder = ".") const;
  /// The same; the exit code instead of the output.
  int code_of(std::string_view command, const std::filesystem::path& folder = ".") const;

  /// Makes the repository `name` with a work tree; its branch is main.
  void make_repository(const std::filesystem::path& name) const;
  /// Stages everything and commits; returns the id. Time is `time`, seconds since the epoch.
  std::string commit(const std::filesystem::path& repository, std::string_view message,
                     std::int64_t time = 1'700'000'000) const;
  /// Writes a file below path(), with its parent folders.
  void write(const std::filesystem::path& file, std::string_view content) const;
  [[nodiscard]] std::string read(const std::filesystem::path& file) const;

  /// Writes an object that git itself would refuse to make; returns its id.
  std::string write_object(const std::filesystem::path& repository, std::string_view type,
                           std::string_view content) const;
  /// Bytes of a tree's entry.
  static std::string tree_entry(std::string_view mode, std::string_view name,
                                const std::string& id);
  /// A commit of `tree` without parents.
  std::string commit_tree(const std::filesystem::path& repository, const std::string& tree) const;

  /// One line per file, link and folder (but .git) with type, mode, name and content's sum: equal
  /// for equal trees.
  std::string listing(const std::filesystem::path& folder) const;

 private:
  std::string prefix(const std::filesystem::path& folder) const;
  std::filesystem::path path_;
};

}  // namespace flow_runner::test
