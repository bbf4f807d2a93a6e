// LocalRepository: facts about a git repository on this machine, read without running anything of
// it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner::cli {

struct LocalRepository {
  std::filesystem::path folder;      ///< work tree, or the bare repository itself; absolute
  std::filesystem::path common_dir;  ///< holds config and refs
  bool bare = false;
  std::string head_branch;     ///< short; empty: detached
  std::string default_branch;  ///< of origin, as last seen here; empty: not known
  std::string origin;          ///< remote.origin.url; empty: none
};

/// Looks for a repository at `start` and above it. not_found names the folder and the cure.
Result<LocalRepository> find_repository(const std::filesystem::path& start);

/// The last value of `key` (as in `url`) in section `section` (as in `remote "origin"`) of a git
/// configuration file's text. Understands what git config(1) writes; `include` is not followed.
std::string config_value(std::string_view text, std::string_view section, std::string_view key);

}  // namespace flow_runner::cli
