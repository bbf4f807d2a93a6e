// Exec inputs: reads what `exec` needs from files, standard input and the environment.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/flow_file.hpp"
#include "config/result.hpp"
#include "daemon/cli/exec_job.hpp"
#include "daemon/cli/exec_options.hpp"

namespace flow_runner::cli {

/// Whether `word` after --repo is an address, and not a folder.
bool is_address(const std::string& word);

/// The flow file to run: the one named, else the only *.yml or *.yaml in `.gitlab/duo/flows/` of
/// the repository. not_found and invalid_input list what there is.
Result<std::filesystem::path> find_flow(const ExecOptions& options,
                                        const std::optional<LocalRepository>& local);

/// The text, or the content of its file; at most 16 MiB.
Result<std::string> read_text(const TextSource& source, const char* option);

/// The secrets of --secret, and the one of --git-token-from from the environment when it is not
/// among them. One newline at a file's end is not part of the secret. An empty or missing one is an
/// error.
Result<std::vector<GivenSecret>> read_secrets(const ExecOptions& options);

}  // namespace flow_runner::cli
