// Git's object formats as data: ids, trees and commits parsed and written without a repository.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

/// A SHA-1 object id.
struct ObjectId {
  std::array<unsigned char, 20> bytes{};

  auto operator<=>(const ObjectId&) const = default;
  [[nodiscard]] bool is_zero() const noexcept { return *this == ObjectId{}; }
  [[nodiscard]] std::string hex() const;
  /// 40 hex digits; `what` names the value in the error.
  static Result<ObjectId> parse(std::string_view hex, std::string_view what);
};

struct ObjectIdHash {
  std::size_t operator()(const ObjectId& id) const noexcept;
};

enum class ObjectType { commit, tree, blob, tag };
std::string_view to_string(ObjectType type) noexcept;

struct RawObject {
  ObjectType type = ObjectType::blob;
  std::string data;
};

/// The modes that a tree of ours has.
enum class EntryMode : std::uint32_t {
  tree = 0040000,
  file = 0100644,
  executable = 0100755,
  symlink = 0120000,
  gitlink = 0160000,
};

struct TreeEntry {
  EntryMode mode = EntryMode::file;
  std::string name;
  ObjectId id;
};

/// Parses a tree as git reads it: old modes (100664) are taken for their type. Fails on what is no
/// tree at all (cut off, a name that is empty or holds '/').
Result<std::vector<TreeEntry>> parse_tree(std::string_view data);

/// The same for a tree that an agent made, with everything that a careful server refuses: `.`,
/// `..`, all spellings of `.git`, entries that are double or not in git's order, other modes than
/// EntryMode's, zero ids.
Result<std::vector<TreeEntry>> parse_untrusted_tree(std::string_view data);

/// The tree object of `entries`, which are put into git's order.
std::string format_tree(std::vector<TreeEntry> entries);

/// Whether git's order has `left` before `right`: folders compare as if their name ended in '/'.
bool tree_order(const TreeEntry& left, const TreeEntry& right) noexcept;

/// Whether some file system takes `name` for `.git`: in any case, with characters that HFS+
/// ignores, as NTFS' short name `git~1`, with trailing dots, spaces or a stream, or after a
/// backslash.
bool names_dot_git(std::string_view name);

struct ParsedCommit {
  ObjectId tree;
  std::vector<ObjectId> parents;
  std::int64_t time = 0;  ///< of the committer; 0 when it cannot be read
};

/// Parses a commit's header; at most 1,000 parents.
Result<ParsedCommit> parse_commit(std::string_view data);

/// "Name <mail>" with nothing in it that breaks a commit's header: control characters and angle
/// brackets are dropped. invalid_input when no name or no mail is left.
Result<std::string> clean_identity(std::string_view identity);

struct CommitFields {
  ObjectId tree;
  ObjectId parent;
  std::string author;     ///< from clean_identity()
  std::string committer;  ///< the same
  std::int64_t time = 0;  ///< seconds since the epoch, written as UTC
  std::string message;
};
std::string format_commit(const CommitFields& fields);

}  // namespace flow_runner
