// Globs: patterns for paths in a repository and for refs, matched in time |pattern| × |text| at
// most.
#pragma once

#include <string_view>

namespace flow_runner {

/// Whether a path of the repository (relative, `/` between parts, any bytes) matches. Patterns
/// start at the repository's root (a leading `/` changes nothing) and cover the whole path,
/// case-sensitive, dot files like all others, as GitLab's globs do:
///   `*` any run without `/`; `?` one character but `/`; `\` takes the next character literally;
///   `**` as a whole part any number of parts, none included (`**/CODEOWNERS`, `a/**/b`);
///   `dir/**` and `dir/` the folder's whole content and also `dir` itself, since a file or link put
///   in the folder's place replaces all that lies below it.
/// All else is literal, `[` too.
bool path_glob_match(std::string_view pattern, std::string_view path);

/// Whether a ref matches. `*` stands for any run of characters, `/` included, as in GitLab's
/// wildcard branches; all else is literal and case-sensitive. A name that does not begin with
/// `refs/` is a branch's in both arguments: `workloads/*` matches `workloads/x` and
/// `refs/heads/workloads/x`, and never `refs/workloads/x`.
bool ref_pattern_match(std::string_view pattern, std::string_view ref);

}  // namespace flow_runner
