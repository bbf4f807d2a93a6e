// The file `.git/index` (version 2, with its cached trees): written in one pass, patched without
// parsing it all.
#pragma once

#include <cstdint>
#include <git2/oid.h>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

/// One line of the index. Stat data that `core.checkStat=minimal` does not look at is written as
/// zero: only modification time (whole seconds) and size are compared then. Format:
/// gitformat-index(5).
struct IndexEntry {
  std::string path;  ///< raw bytes, relative
  git_oid id{};
  std::uint32_t mode = 0;   ///< 0100644, 0100755, 0120000 or 0160000
  std::uint32_t mtime = 0;  ///< seconds since the epoch
  std::uint32_t size = 0;   ///< bytes, modulo 2^32 as git does
};

/// The cached tree of one folder (extension TREE): spares `git status` and `git commit` the reading
/// of trees. `entry_count` counts the index entries below.
struct CachedTree {
  std::string name;  ///< component; empty for the root
  git_oid id{};
  std::uint32_t entry_count = 0;
  std::vector<CachedTree> children;
};

/// An index as bytes, and where its parts are.
class IndexFile {
 public:
  /// Parses an index that we wrote before. Its checksum is verified. invalid_input for anything
  /// else.
  static Result<IndexFile> parse(std::string bytes);

  [[nodiscard]] std::uint32_t entry_count() const noexcept { return entry_count_; }
  /// Takes the cached trees out.
  CachedTree take_trees() { return std::move(trees_); }

  /// Calls visit(path, mode, id, raw) for each entry in order; `raw` is what IndexWriter::add_raw
  /// takes.
  template <class Visit>
  void for_each(Visit visit) const {
    std::size_t at = header_bytes;
    for (std::uint32_t i = 0; i < entry_count_; ++i) {
      const View view = entry_at(at);
      visit(view.path, view.mode, view.id, view.raw);
      at += view.raw.size();
    }
  }

 private:
  struct View {
    std::string_view path;
    std::uint32_t mode = 0;
    git_oid id{};
    std::string_view raw;  ///< empty: malformed
  };
  static constexpr std::size_t header_bytes = 12;

  [[nodiscard]] View entry_at(std::size_t offset) const;
  Result<void> parse_extensions(std::size_t offset);

  std::string bytes_;
  std::uint32_t entry_count_ = 0;
  CachedTree trees_;
};

/// Collects entries in the order of their paths and writes the file.
class IndexWriter {
 public:
  /// `expected_bytes` of entries are reserved.
  explicit IndexWriter(std::size_t expected_bytes);

  /// invalid_input when the path is not after the one before (bytes compared).
  Result<void> add(const IndexEntry& entry);
  Result<void> add_raw(std::string_view path, std::string_view raw);

  [[nodiscard]] std::uint32_t entry_count() const noexcept { return entry_count_; }
  /// Closes the index with the cached trees and checksum and returns its bytes; nothing may be
  /// added afterwards.
  std::string finish(const CachedTree& trees);

 private:
  Result<void> advance(std::string_view path);

  std::string bytes_;
  std::string last_path_;
  std::uint32_t entry_count_ = 0;
};

}  // namespace flow_runner
