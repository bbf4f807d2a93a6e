#include "daemon/cli/earlier_job.hpp"

#include <algorithm>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "config/job_json.hpp"
#include "config/units.hpp"
#include "config/variables.hpp"
#include "daemon/cli/console.hpp"
#include "executor/git_output.hpp"
#include "executor/job_result.hpp"
#include "sandbox/image_reference.hpp"

namespace flow_runner::cli {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::size_t max_file_bytes = 64U << 20;
constexpr std::size_t max_named = 10;

Error wrong_use(std::string message) { return {ErrorCode::invalid_input, std::move(message)}; }

// By the folder's descriptor: what a name leads to cannot be exchanged between two looks.
Result<json> read_document(const Descriptor& folder, const fs::path& path, const char* name) {
  const std::string shown = (path / name).string();
  // Without O_NONBLOCK a FIFO in its place would hold us for ever.
  const Descriptor file(
      ::openat(folder.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) return errno_error("cannot read " + shown);
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return errno_error("cannot read " + shown);
  if (!S_ISREG(facts.st_mode)) return wrong_use(shown + " is not a regular file");
  FR_TRY(const std::string text, read_all(file.get(), max_file_bytes, shown));
  json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return wrong_use(shown + " holds no JSON object");
  return Result<json>(boost::system::in_place_value, std::move(document));
}

std::vector<std::string> names_in(const json& document, const char* key) {
  std::vector<std::string> names;
  const auto found = document.find(key);
  if (found == document.end() || !found->is_array()) return names;
  for (const json& item : *found)
    if (item.is_string() && is_variable_name(item.get_ref<const std::string&>()))
      names.push_back(item.get<std::string>());
  return names;
}

// With the digest it is the same image, whatever its name means by now.
std::string image_of(const JobResult& result, JobOrigin origin) {
  const bool local = result.image_name.starts_with("localhost/");
  // A copy that was loaded elsewhere has another digest here.
  if (result.image_digest.empty() || (local && origin == JobOrigin::copied))
    return result.image_name;
  return result.image_name + "@" + result.image_digest;
}

Result<EarlierJob> read_folder(const fs::path& path, std::string name, JobOrigin origin) {
  EarlierJob earlier{
      .name = std::move(name), .origin = origin, .job = {}, .omitted = {}, .base = {}, .image = {}};
  FR_TRY(const Descriptor folder, open_file(path, O_RDONLY | O_DIRECTORY));
  FR_TRY(const json document, read_document(folder, path, "job.json"));
  auto job = job_from_json(document);
  if (!job) return wrong_use((path / "job.json").string() + ": " + job.error().message);
  earlier.job = std::move(*job);
  earlier.omitted = names_in(document, "omitted_variables");
  earlier.base = earlier.job.repository.ref;
  earlier.image = earlier.job.flow.image.name;
  const auto finished = read_document(folder, path, "result.json");
  if (!finished && finished.error().code != ErrorCode::not_found) return finished.error();
  if (finished) {
    FR_TRY(const JobResult result, job_result_from_json(*finished));
    if (!result.base.empty()) earlier.base = result.base;
    if (!result.image_name.empty()) earlier.image = image_of(result, origin);
  }
  // A branch's name would mean another commit by now.
  if (!is_commit_id(earlier.base)) earlier.base.clear();
  if (const auto image = ImageReference::parse(earlier.image); !image)
    return wrong_use("the image of " + earlier.name + ": " + image.error().message);
  return earlier;
}

bool is_folder(const std::string& word) {
  std::error_code error;
  return fs::is_directory(word, error);
}

const Variable* find_variable(const Job& job, std::string_view name) {
  for (auto it = job.variables.rbegin(); it != job.variables.rend(); ++it)
    if (it->name == name) return &*it;
  return nullptr;
}

bool is_recomputed(const Variable& variable) {
  if (variable.origin == "--var" || variable.origin == "--from-job") return false;
  for (const std::string_view prefix : {"AI_FLOW_", "CI_"})
    if (variable.name.starts_with(prefix)) return true;
  return false;
}

// Of the limits that a new job must have: what is out of an option's range was not written by us.
template <class Limit>
void take_limit(std::optional<Limit>& limit, Limit earlier, Limit least, Limit most) {
  if (!limit && earlier >= least && earlier <= most) limit = earlier;
}

void take_text(TextSource& source, const char* option, const char* name, const EarlierJob& earlier,
               std::vector<std::string>& warnings) {
  if (source.text || !source.file.empty()) return;
  if (const Variable* variable = find_variable(earlier.job, name))
    source.text = std::string(variable->value.reveal());
  else
    warnings.push_back("the job " + earlier.name + " has kept no " + name +
                       ", for it held a secret: give it with " + option + " or " + option +
                       "-file");
}

std::size_t take_variables(const EarlierJob& earlier, ExecOptions& options,
                           std::vector<std::string>& warnings) {
  std::set<std::string> given, missing;
  for (const SecretSource& secret : options.secrets) given.insert(secret.name);
  for (const auto& [name, value] : options.variables) given.insert(name);
  given.insert(options.git_token_from);
  const auto miss = [&](const std::string& name) {
    const bool text = name == "AI_FLOW_INPUT" || name == "AI_FLOW_CONTEXT";
    if (!text && !name.empty() && !given.contains(name)) missing.insert(name);
  };
  for (const Variable& variable : earlier.job.variables) {
    if (!is_variable_name(variable.name) || is_recomputed(variable)) continue;
    if (is_secret(earlier.job, variable)) {
      miss(variable.name);
      continue;
    }
    Variable& taken = options.earlier_variables.emplace_back(variable);
    taken.origin = "--from-job";
  }
  for (const std::string& name : earlier.omitted) miss(name);
  if (is_variable_name(earlier.job.repository.token_name)) miss(earlier.job.repository.token_name);
  std::string text;
  std::size_t named = 0;
  for (const std::string& name : missing)
    text += named++ < max_named ? " --secret " + name : std::string();
  if (named > max_named) text += " and " + std::to_string(named - max_named) + " more";
  if (!missing.empty())
    warnings.push_back("the job " + earlier.name +
                       " had secrets, which are never kept; what needs them will not work "
                       "without:" +
                       text);
  return options.earlier_variables.size();
}

void take_network(const EarlierJob& earlier, ExecOptions& options,
                  std::vector<std::string>& warnings) {
  if (!options.network_given) {
    if (earlier.job.network == NetworkMode::none && options.network_allow.empty())
      options.network = NetworkMode::none;
    if (earlier.job.network == NetworkMode::host)
      warnings.push_back("the job " + earlier.name +
                         " had the host's own network, which is given only by its word: "
                         "--network host");
  }
  if (options.network != NetworkMode::proxy) return;
  options.earlier_allow = earlier.job.network_policy.allow;
  options.earlier_deny = earlier.job.network_policy.deny;
  if (earlier.origin == JobOrigin::own_state) return;
  for (NetworkRule& rule : options.earlier_allow) {
    rule.any_address = false;
    rule.origin = "--from-job";
  }
}

void take_start(const EarlierJob& earlier, ExecOptions& options,
                std::vector<std::string>& warnings) {
  if (!options.ref.empty() || options.dirty == DirtyTree::included) return;
  const RepositorySpec& repository = earlier.job.repository;
  const bool captured = repository.include_work_tree || repository.captured_start;
  std::string reason;
  if (earlier.base.empty())
    reason = "never came to a commit to start from";
  else if (captured && earlier.origin == JobOrigin::copied)
    reason = "started from uncommitted files, which are not here";
  else if (captured && options.publish != PublishMode::none)
    reason = "started from uncommitted files, which would be published too";
  if (reason.empty()) {
    options.ref = earlier.base;
    options.captured_start = captured;
    return;
  }
  warnings.push_back("the job " + earlier.name + " " + reason +
                     ": this one does not start where it did; --ref names another start");
}

void take_limits(const JobLimits& limits, ExecOptions& options) {
  take_limit<std::uint64_t>(options.limits.memory_bytes, limits.memory_bytes, 16U << 20,
                            1ULL << 50);
  take_limit<double>(options.limits.cpus, limits.cpus, 0.01, 4096);
  take_limit<std::uint64_t>(options.limits.pids, limits.pids, 4, 4'194'304);
  take_limit<std::uint64_t>(options.limits.disk_bytes, limits.disk_bytes, 1U << 20, 1ULL << 60);
  take_limit<std::chrono::milliseconds>(options.timeout, limits.timeout,
                                        std::chrono::milliseconds(1), max_duration);
}

}  // namespace

Result<EarlierJob> read_earlier_job(const std::string& word, const std::string& state_dir) {
  if (word.find('/') != std::string::npos) return read_folder(word, word, JobOrigin::copied);
  FR_TRY(const StateDirectory state, open_state(state_dir));
  const auto found = find_job(state, word);
  if (found) return read_folder(found->path(), found->id(), JobOrigin::own_state);
  if (found.error().code == ErrorCode::not_found && is_folder(word))
    return read_folder(word, word, JobOrigin::copied);
  return found.error();
}

Adoption adopt(const EarlierJob& earlier, ExecOptions& options) {
  Adoption adoption;
  auto& warnings = adoption.warnings;
  const Job& job = earlier.job;
  take_text(options.input, "--input", "AI_FLOW_INPUT", earlier, warnings);
  take_text(options.context, "--context", "AI_FLOW_CONTEXT", earlier, warnings);
  if (const Variable* event = find_variable(job, "AI_FLOW_EVENT");
      event != nullptr && !options.event_given && is_event_name(event->value.reveal()))
    options.event = event->value.reveal();
  if (options.image.empty()) options.image = earlier.image;
  if (options.repo.empty() && earlier.origin == JobOrigin::own_state)
    options.repo = job.repository.url;
  take_start(earlier, options, warnings);
  const std::size_t variables = take_variables(earlier, options, warnings);
  take_network(earlier, options, warnings);
  take_limits(job.limits, options);
  adoption.note = "as in the job " + earlier.name + ": input, context, limits, image " +
                  options.image + ", start " + (options.ref.empty() ? "HEAD" : options.ref) + ", " +
                  std::to_string(variables) + (variables == 1 ? " variable, " : " variables, ") +
                  std::to_string(options.earlier_allow.size()) +
                  " of the network's entries (--plan shows them)";
  return adoption;
}

}  // namespace flow_runner::cli
