// ImageFiles: a read-only look into an image's layers, as untrusted data, without mounting
// anything.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

enum class ImageFileType { file, directory, other };

/// What a path inside an image leads to, after all symbolic links.
struct ImageFile {
  ImageFileType type = ImageFileType::other;
  std::filesystem::path path;       ///< inside the image, absolute, without links
  std::filesystem::path host_path;  ///< in the topmost layer that has it; no part of it is a link
  bool executable = false;          ///< any execute bit
};

/// The merged view of overlay layers: the topmost layer wins, whiteouts (character device 0/0) and
/// opaque folders hide what lies below. Links are followed inside the image only: an absolute one
/// starts at the image's root, `..` stops there, and no host file is ever reached. `trusted.` and
/// `user.` opaque marks both count; redirects and metacopy do not occur in image layers and are not
/// followed. Every lookup is bounded: 40 links, 4096 bytes of path and link, 1024 steps.
class ImageFiles {
 public:
  /// Layers bottom first, absolute, as in ImageFacts.
  explicit ImageFiles(std::vector<std::filesystem::path> layers);

  /// not_found when there is no such path (or a link leads nowhere); invalid_input past a bound.
  [[nodiscard]] Result<ImageFile> lookup(std::string_view path) const;
  /// The content of a regular file; anything else, or more than max_bytes, is invalid_input.
  [[nodiscard]] Result<std::string> read(std::string_view path, std::size_t max_bytes) const;
  /// The first of `candidates` that is an executable regular file, as it was given; else empty.
  [[nodiscard]] Result<std::string> find_program(
      const std::vector<std::string_view>& candidates) const;

 private:
  struct Level;
  struct Child;
  [[nodiscard]] Result<Child> child(const std::vector<Level>& parents,
                                    const std::string& name) const;

  std::vector<std::filesystem::path> layers_;  // topmost first
};

/// Whom an image's commands run as.
struct ImageUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string home = "/";  ///< absolute; of /etc/passwd, `/` for a number that it does not list
  std::vector<std::uint32_t> groups;  ///< supplementary; none when the image names a group

  bool operator==(const ImageUser&) const = default;
};

/// Resolves an image's User (`""`, name, uid, `uid:gid`, `name:group`…) with /etc/passwd and
/// /etc/group of the image, by the rules of Docker. Both files are at most 1 MiB, ids at most 65535
/// (the size of a job's range), groups at most 1024; a name that the image does not list is
/// invalid_input.
Result<ImageUser> resolve_user(const std::vector<std::filesystem::path>& layers,
                               std::string_view user);

}  // namespace flow_runner
