// Variables: from the variables that a job carries to what its script gets and what must be masked.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/job.hpp"
#include "config/secret.hpp"

namespace flow_runner {

/// The most bytes of one value that go into the environment. The kernel refuses every exec with an
/// environment string or argument of 131,072 bytes (MAX_ARG_STRLEN, execve(2)), and flows expand
/// such a value into one argument together with a prompt: the rest is room for that.
inline constexpr std::size_t max_environment_value_bytes = 96 * 1024;
/// Longest name of a variable, as GitLab's.
inline constexpr std::size_t max_variable_name_bytes = 255;

/// One variable of the script's environment.
struct ResolvedVariable {
  std::string name;
  Secret value;         ///< after expansion, perhaps cut; empty when `file`
  bool secret = false;  ///< never show the value
  bool file = false;    ///< the value is the path of the VariableFile with this env_name
  std::string origin;
};

/// A file that the caller writes (0600, tmpfs) into a directory of its choice.
struct VariableFile {
  std::string env_name;   ///< the variable that holds the path
  std::string file_name;  ///< one safe path part, unique within the job
  Secret content;         ///< uncut
};

/// A value that no log may show: the masker's input.
struct MaskedSource {
  std::string name;     ///< for reports
  Secret value;         ///< never empty, without white space around it
  bool marked = false;  ///< by its owner, a provider or `masking.also`: masked at any length
};

struct ResolvedVariables {
  std::vector<ResolvedVariable> environment;  ///< each name once, in the order of the job
  std::vector<VariableFile> files;
  std::vector<MaskedSource>
      secrets;  ///< all of the job, withheld ones and the repository's token included
  std::vector<std::string> warnings;  ///< one line each, without values
};

/// Letters, digits and `_`, at most max_variable_name_bytes: GitLab's rule for keys.
bool is_variable_name(std::string_view name) noexcept;

/// Whether a name alone makes its value a secret: one of its parts (split at `_`, any case) is
/// TOKEN, KEY, SECRET, PASSWORD, HEADERS, CREDENTIALS or SIGV4, and the last part is not NAME, ID,
/// FILE, PATH or URL.
bool is_secret_name(std::string_view name);

/// The password in a value of the form `scheme://user:password@host…`, as it stands there; empty:
/// none.
std::string_view url_password(std::string_view value) noexcept;

/// Whether a variable of the job is a secret: marked, in `masking_also`, one of the withheld ones,
/// or by is_secret_name unless in `masking_never` (which never undoes an owner's mark).
bool is_secret(const Job& job, const Variable& variable);

/// Decides what the script gets. Names that reach it: those that the flow lists, AI_FLOW_*, CI_*,
/// GIT_AUTHOR_* and GIT_COMMITTER_*; the job's own credentials (CI_JOB_TOKEN, CI_REPOSITORY_URL,
/// CI_REGISTRY_PASSWORD, CI_DEPENDENCY_PROXY_PASSWORD) only when a command says `$NAME` or
/// `${NAME`. Later duplicates win. A value that is not raw is expanded once (`$NAME`, `${NAME}`,
/// `$$`) with the expanded values of what reaches the script; undefined names, file variables and
/// cycles stay as written. Every AI_FLOW_* value is also a file, named by NAME_FILE; a larger value
/// than max_environment_value_bytes is cut on a UTF-8 boundary and is a file too.
ResolvedVariables resolve_variables(const Job& job);

/// The environment of the script as name and value, paths of files in `directory` filled in.
std::vector<std::pair<std::string, Secret>> environment_in(const ResolvedVariables& variables,
                                                           std::string_view directory);

}  // namespace flow_runner
