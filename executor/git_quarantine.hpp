// Quarantine: the bare repository that keeps an agent's objects apart from the mirror.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/result.hpp"
#include "executor/git_object_format.hpp"

namespace flow_runner {

/// The mirror is only read; everything written here is a loose object of the quarantine. libgit2
/// must be initialised, and outlive this. One thread.
class Quarantine {
 public:
  /// Lays out the bare repository in `folder` (absent or empty before): HEAD, a config of ours,
  /// objects/ with the mirror as alternate, the mirror's `shallow`. invalid_input: the folder holds
  /// something, a path is not absolute or cannot stand in an alternates file, or the mirror does
  /// not use SHA-1.
  static Result<void> create(const std::filesystem::path& folder,
                             const std::filesystem::path& mirror);

  /// Opens both object databases. Objects over max_object_bytes are not read.
  static Result<Quarantine> open(const std::filesystem::path& folder,
                                 const std::filesystem::path& mirror,
                                 std::uint64_t max_object_bytes);
  Quarantine(Quarantine&&) noexcept;
  Quarantine& operator=(Quarantine&&) noexcept;
  ~Quarantine();

  [[nodiscard]] bool mirror_has(const ObjectId& id) const;
  [[nodiscard]] bool has(const ObjectId& id) const;
  /// Type of an object of either; std::nullopt when there is none.
  [[nodiscard]] Result<std::optional<ObjectType>> type_of(const ObjectId& id) const;
  /// Reads an object of either. invalid_input: absent, of another type, or over the limit.
  [[nodiscard]] Result<std::string> read(const ObjectId& id, ObjectType type) const;

  [[nodiscard]] static Result<ObjectId> hash(ObjectType type, std::string_view data);
  /// Writes unless either has it.
  Result<ObjectId> write(ObjectType type, std::string_view data);
  /// Streams `size` bytes of the file into a blob; a file that ends early or goes on is an error.
  Result<ObjectId> write_blob(int fd, std::uint64_t size);

  /// Points HEAD at `head` and makes `refs` ({refs/…, hex}; valid names) the only refs.
  Result<void> write_refs(const ObjectId& head,
                          std::vector<std::pair<std::string, std::string>> refs);

 private:
  struct Stores;
  explicit Quarantine(std::unique_ptr<Stores> stores);
  std::unique_ptr<Stores> stores_;
};

}  // namespace flow_runner
