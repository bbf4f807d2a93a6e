// AgentPack: a pack file written by an agent, indexed by our own reading; its .idx is never opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/result.hpp"
#include "executor/git_object_format.hpp"
#include "executor/git_workspace_view.hpp"

namespace flow_runner {

/// Bounds on what is inflated out of an agent's repository; shared by all its packs and loose
/// objects, and used up.
struct InflationBudget {
  std::uint64_t max_object_bytes = 0;
  std::uint64_t total_left = 0;  ///< bytes of objects, each counted once
  std::uint64_t work_left = 0;   ///< bytes inflated again to follow chains of deltas

  /// invalid_input when an object of that size is over a bound.
  Result<void> charge(std::uint64_t bytes);
};

/// A read-only mapping of a whole file.
class MappedFile {
 public:
  static Result<MappedFile> map(const OpenedFile& file);
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }

 private:
  explicit MappedFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

/// Objects whose delta base lies outside the pack are not found. The file must not change.
class AgentPack {
 public:
  /// Reads every object once and computes its id. invalid_input: broken or over a bound.
  static Result<AgentPack> open(const OpenedFile& file, InflationBudget& budget);

  /// The object, its id checked; std::nullopt when the pack does not hold it.
  Result<std::optional<RawObject>> find(const ObjectId& id, InflationBudget& budget) const;

 private:
  struct Entry {
    std::uint64_t start = 0;  ///< offset of the entry
    std::uint64_t data = 0;   ///< offset of its zlib stream
    std::uint64_t size = 0;   ///< inflated; of a delta: of the delta
    std::uint32_t base = 0;   ///< index of a delta's base, once known
    std::uint32_t depth = 0;  ///< deltas between this and a whole object
    bool delta = false;
    bool known = false;  ///< id and type are computed
    ObjectType type = ObjectType::blob;
    ObjectId id = {};
  };
  struct Children;

  explicit AgentPack(MappedFile file) : file_(std::move(file)) {}
  Result<void> scan(InflationBudget& budget, Children& children);
  Result<std::size_t> scan_entry(std::size_t at, InflationBudget& budget, Children& children);
  Result<void> resolve(std::uint32_t root, Children& children);
  [[nodiscard]] Result<std::string> inflate_entry(const Entry& entry) const;

  MappedFile file_;
  std::vector<Entry> entries_;
  std::unordered_map<ObjectId, std::uint32_t, ObjectIdHash> by_id_;
};

}  // namespace flow_runner
