// ImageFacts: what a job needs to know of an image, and a cache of it that is checked without
// podman.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

/// One image of the store. All but `layers` comes from the image's author: untrusted, but of the
/// shapes that are stated here.
struct ImageFacts {
  std::string name;    ///< under which the store knows it: docker.io/library/node:22
  std::string id;      ///< 64 hex digits, of the configuration
  std::string digest;  ///< sha256:…, of the manifest; empty when the store has none
  std::vector<std::filesystem::path>
      layers;                    ///< the layers' diff folders, bottom first, absolute; 1 to 500
  std::vector<std::string> env;  ///< NAME=value, no NUL
  std::string user;              ///< for resolve_user(); empty: root
  std::string working_dir;       ///< absolute; `/` when the image names none
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string created;  ///< as the image says, RFC 3339

  bool operator==(const ImageFacts&) const = default;
};

/// Reads the answer of `podman image inspect NAME` about one image. Short links of the store
/// (`l/…`) are resolved, and each layer must be a folder below `storage`. Errors: invalid_input for
/// an image that cannot be run as it is, internal for an answer of an unknown form.
Result<ImageFacts> parse_image_inspection(std::string_view json, std::string_view name,
                                          const std::filesystem::path& storage);

/// The state of the store's list of images: any pull, load, tag or removal changes it.
struct StoreStamp {
  std::int64_t mtime_ns = 0;
  std::int64_t size = 0;
  std::uint64_t inode = 0;

  /// Absent when the store is empty.
  static std::optional<StoreStamp> of(const std::filesystem::path& storage);
  bool operator==(const StoreStamp&) const = default;
};

/// One file per key. An entry counts only while the store has the stamp that it was written with
/// and all layers are there; whatever is unreadable is a miss.
class FactsCache {
 public:
  FactsCache(std::filesystem::path folder, std::filesystem::path storage);

  [[nodiscard]] std::optional<ImageFacts> find(std::string_view key) const;
  /// `stamp` was taken before the facts were asked for, so that a change in between makes a miss.
  Result<void> put(std::string_view key, const ImageFacts& facts, const StoreStamp& stamp) const;
  /// Removes the entries of other stamps than the present one.
  void sweep() const;

 private:
  [[nodiscard]] std::filesystem::path file(std::string_view key) const;

  std::filesystem::path folder_;
  std::filesystem::path storage_;
};

/// Whether every layer folder is still there.
bool layers_exist(const ImageFacts& facts);

}  // namespace flow_runner
