// Names in git trees: which of them may become files, and which a file system takes for `.git`.
#pragma once

#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// The longest path we write, in bytes (PATH_MAX without its NUL).
inline constexpr std::size_t max_git_path_bytes = 4095;

/// Whether a file system that folds names may take `name` (one component) for `.git`: in any case,
/// with the code points that HFS+ ignores, with NTFS's trailing dots and spaces, short name
/// (`git~1`), stream (`.git::$INDEX_ALLOCATION`) or as a part after a backslash. Follows git's
/// is_hfs_dotgit and is_ntfs_dotgit.
bool is_dot_git(std::string_view name);

/// Refuses a tree entry's name that must not become a file: empty, `.`, `..`, over 255 bytes, with
/// a slash or NUL, or one that is_dot_git(). invalid_input; `where` (the folder, raw bytes) is
/// quoted in the message.
Result<void> check_entry_name(std::string_view name, std::string_view where);

/// check_entry_name() for every component of a relative path, and the path's length.
Result<void> check_relative_path(std::string_view path);

}  // namespace flow_runner
