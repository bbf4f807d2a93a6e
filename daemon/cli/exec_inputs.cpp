#include "daemon/cli/exec_inputs.hpp"

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <unistd.h>

#include "sandbox/descriptor.hpp"

namespace flow_runner::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_text_bytes = 16 << 20;
constexpr std::size_t max_secret_bytes = 1 << 20;
constexpr std::size_t max_listed_flows = 10;
constexpr std::string_view flow_folder = ".gitlab/duo/flows";

std::vector<fs::path> flows_in(const fs::path& folder) {
  std::vector<fs::path> flows;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const auto extension = entry->path().extension();
    std::error_code unreadable;
    if ((extension == ".yml" || extension == ".yaml") && entry->is_regular_file(unreadable))
      flows.push_back(entry->path());
  }
  std::sort(flows.begin(), flows.end());
  return flows;
}

std::string list_of(const std::vector<fs::path>& flows) {
  std::string text;
  for (std::size_t i = 0; i < flows.size() && i < max_listed_flows; ++i)
    text += "\n  " + flows[i].string();
  if (flows.size() > max_listed_flows) text += "\n  …";
  return text;
}

Result<Secret> secret_from_file(const SecretSource& source) {
  auto content = read_file(source.file, max_secret_bytes);
  if (!content)
    return Error{ErrorCode::invalid_input,
                 "--secret " + source.name + ": " + content.error().message};
  if (content->ends_with('\n')) content->pop_back();
  if (content->ends_with('\r')) content->pop_back();
  if (content->empty())
    return Error{ErrorCode::invalid_input,
                 "--secret " + source.name + ": " + source.file.string() + " is empty"};
  return Secret(std::move(*content));
}

Result<Secret> secret_from_environment(const char* option, const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0')
    return Error{ErrorCode::invalid_input, std::string(option) + " " + name +
                                               ": the environment has no " + name +
                                               (value == nullptr ? "" : ", or an empty one") +
                                               ": export it, or say --secret " + name + "=@FILE"};
  return Secret(value);
}

}  // namespace

bool is_address(const std::string& word) {
  if (word.find("://") != std::string::npos) return !word.starts_with("file://");
  std::error_code error;
  // git@host:group/project.git, unless there is such a folder.
  const auto colon = word.find(':');
  return colon != std::string::npos && word.find('/') > colon && !fs::exists(word, error);
}

Result<fs::path> find_flow(const ExecOptions& options,
                           const std::optional<LocalRepository>& local) {
  const auto there =
      local && !local->bare ? flows_in(local->folder / flow_folder) : std::vector<fs::path>();
  if (!options.flow.empty()) {
    std::error_code error;
    if (fs::exists(options.flow, error)) return fs::path(options.flow);
    // A word that was meant as a secret's value must not be repeated.
    const std::string named = options.secrets.empty()
                                  ? "the flow file " + options.flow + " does not exist"
                                  : "the flow file that was named does not exist (--secret takes a "
                                    "name only: a word after it is the flow file)";
    return Error{ErrorCode::not_found,
                 named + (there.empty() ? "" : "; the repository has:" + list_of(there))};
  }
  if (!local || local->bare)
    return Error{ErrorCode::invalid_input,
                 "name the flow file: flow-runner exec FLOW …; only for a repository with a work "
                 "tree is it looked for, in " +
                     std::string(flow_folder)};
  const std::string folder = (local->folder / flow_folder).string();
  if (there.empty())
    return Error{ErrorCode::not_found, "there is no flow file (*.yml, *.yaml) in " + folder +
                                           ": name one (flow-runner exec FLOW), or put one there"};
  if (there.size() > 1)
    return Error{ErrorCode::invalid_input,
                 "there are " + std::to_string(there.size()) +
                     " flow files, name the one to run:" + list_of(there)};
  return there.front();
}

Result<std::string> read_text(const TextSource& source, const char* option) {
  if (source.text) return *source.text;
  if (source.file.empty()) return std::string();
  auto content = source.file == "-" ? read_all(STDIN_FILENO, max_text_bytes, "standard input")
                                    : read_file(source.file, max_text_bytes);
  if (!content)
    return Error{ErrorCode::invalid_input, std::string(option) + ": " + content.error().message};
  return content;
}

Result<std::vector<GivenSecret>> read_secrets(const ExecOptions& options) {
  std::vector<GivenSecret> secrets;
  bool token_given = options.git_token_from.empty();
  for (const SecretSource& source : options.secrets) {
    token_given = token_given || source.name == options.git_token_from;
    const bool from_file = !source.file.empty();
    FR_TRY(Secret value,
           from_file ? secret_from_file(source) : secret_from_environment("--secret", source.name));
    secrets.push_back({source.name, std::move(value),
                       from_file ? "--secret, from a file" : "--secret, from the environment"});
  }
  if (!token_given) {
    FR_TRY(Secret value, secret_from_environment("--git-token-from", options.git_token_from));
    secrets.push_back({options.git_token_from, std::move(value), "--git-token-from"});
  }
  return secrets;
}

}  // namespace flow_runner::cli
