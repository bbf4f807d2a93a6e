// WorkspaceView: the job's merged workspace, read without following a link or opening anything but
// a regular file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// A path of more bytes cannot be opened by git either (PATH_MAX); what lies deeper is not taken.
inline constexpr std::size_t max_path_bytes = 4095;

enum class FileKind { absent, regular, folder, symlink, other };

struct FileFacts {
  FileKind kind = FileKind::absent;
  bool executable = false;  ///< the owner's bit, as git looks at it
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::int64_t change_time_ns = 0;  ///< since the epoch
};

struct OpenedFile {
  Descriptor descriptor;  ///< read only, of a regular file
  std::uint64_t size = 0;
};

/// Paths are relative to the folder, without "." and "..", as raw bytes. Every look-up is done by
/// openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS: a link in the way reads as absent.
class WorkspaceView {
 public:
  static Result<WorkspaceView> open(const std::filesystem::path& folder);
  /// A view of a folder inside this one. not_found when it is none.
  [[nodiscard]] Result<WorkspaceView> folder(std::string_view path) const;

  /// An absent file is no error.
  [[nodiscard]] Result<FileFacts> facts(std::string_view path) const;
  /// Opens a regular file; anything else (absent, link, FIFO, device) is std::nullopt.
  [[nodiscard]] Result<std::optional<OpenedFile>> open_regular(std::string_view path) const;
  /// The bytes of a regular file; std::nullopt as above. More than max_bytes: invalid_input.
  [[nodiscard]] Result<std::optional<std::string>> read_regular(std::string_view path,
                                                                std::size_t max_bytes) const;
  /// A symlink's target.
  [[nodiscard]] Result<std::string> read_link(std::string_view path) const;
  /// The names in a folder, sorted; "" is the view itself. Empty when it is no folder. More than
  /// max_names is invalid_input.
  [[nodiscard]] Result<std::vector<std::string>> names(std::string_view path,
                                                       std::size_t max_names) const;
  /// Whether the folder carries one of the extended attributes.
  [[nodiscard]] Result<bool> has_attribute(std::string_view path,
                                           const std::vector<const char*>& attributes) const;

 private:
  explicit WorkspaceView(Descriptor root) : root_(std::move(root)) {}
  [[nodiscard]] Descriptor resolve(std::string_view path, int flags) const;
  Descriptor root_;
};

}  // namespace flow_runner
