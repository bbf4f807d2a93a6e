// TemporaryFolder: a folder that is removed with all that is in it.
#pragma once

#include <filesystem>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// Its owner's alone (0700). The destructor removes what it can, and tells nobody of what it could
/// not.
class TemporaryFolder {
 public:
  /// `<parent>/<prefix>-XXXXXX`.
  static Result<TemporaryFolder> make(const std::filesystem::path& parent, std::string_view prefix);
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace flow_runner
