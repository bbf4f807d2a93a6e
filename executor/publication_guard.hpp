// Publication guard: decides which ref may be published to, and which changed paths stop a
// publication.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/job.hpp"
#include "config/result.hpp"

namespace flow_runner {

/// The full ref that `spec.workload_ref` means (a short name is a branch), if publishing there is
/// allowed; asked before the job starts. invalid_input: not a ref name. denied: no pattern of
/// `allow_refs` allows it, or it is the default branch or matches `protected_branches` (short
/// names, `*` allowed). `default_branch` empty (the remote names none): `main` and `master` are
/// refused.
Result<std::string> allowed_target(const PublishSpec& spec, std::string_view default_branch,
                                   const std::vector<std::string>& protected_branches = {});

/// A changed path that must not be published.
struct ProtectedPath {
  std::string path;     ///< raw bytes
  std::string pattern;  ///< the pattern of protected_paths that it matches
  bool operator==(const ProtectedPath&) const = default;
};

/// Looks at the paths touched by any commit that would be published, not only by their sum. Each
/// path once, in the order given.
std::vector<ProtectedPath> check_paths(const std::vector<std::string>& paths,
                                       const std::vector<std::string>& protected_paths);

/// The sentence that names what was found (at most five paths, quoted) and what to do; empty for
/// none.
std::string describe(const std::vector<ProtectedPath>& found);

}  // namespace flow_runner
