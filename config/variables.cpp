#include "config/variables.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "config/diagnostic.hpp"
#include "config/quoted_path.hpp"
#include "config/variable_expansion.hpp"

namespace flow_runner {
namespace {

// The job's own credentials: a script that does not ask for them should not be able to lose them.
constexpr std::array<std::string_view, 4> withheld_names = {
    "CI_JOB_TOKEN", "CI_REPOSITORY_URL", "CI_REGISTRY_PASSWORD", "CI_DEPENDENCY_PROXY_PASSWORD"};
constexpr std::array<std::string_view, 7> secret_parts = {
    "TOKEN", "KEY", "SECRET", "PASSWORD", "HEADERS", "CREDENTIALS", "SIGV4"};
constexpr std::array<std::string_view, 5> harmless_last_parts = {"NAME", "ID", "FILE", "PATH",
                                                                 "URL"};
constexpr std::array<std::string_view, 4> free_prefixes = {"AI_FLOW_", "CI_", "GIT_AUTHOR_",
                                                           "GIT_COMMITTER_"};
// What people write to the agent; each also as a file.
constexpr std::string_view untrusted_prefix = "AI_FLOW_";
constexpr std::string_view file_suffix = "_FILE";
// What exec takes in all is a quarter of the stack limit: 2 MiB by default, arguments included.
constexpr std::size_t comfortable_environment_bytes = 1536 * 1024;
constexpr std::size_t max_names_in_warning = 20;
constexpr std::size_t max_warnings = 100;

template <class Range>
bool contains(const Range& range, std::string_view name) {
  return std::find(std::begin(range), std::end(range), name) != std::end(range);
}

/// `${NAME:-…}` and its like: the script itself says what holds without the variable.
bool has_default(const std::vector<std::string>& commands, const std::string& name) {
  const std::string start = "${" + name;
  for (const std::string& command : commands) {
    for (auto at = command.find(start); at != std::string::npos; at = command.find(start, at + 1)) {
      auto next = at + start.size();
      if (next < command.size() && command[next] == ':') ++next;
      if (next < command.size() && (command[next] == '-' || command[next] == '+')) return true;
    }
  }
  return false;
}

std::string upper_case(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return upper;
}

std::string_view trimmed(std::string_view text) {
  static constexpr std::string_view white_space = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(white_space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(white_space) - begin + 1);
}

std::string joined_names(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < max_names_in_warning; ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > max_names_in_warning) {
    text += " and " + std::to_string(names.size() - max_names_in_warning) + " more";
  }
  return text;
}

bool named_by_a_command(const Flow& flow, std::string_view name) {
  const auto names_it = [&](const std::string& command) { return refers_to(command, name); };
  return std::any_of(flow.commands.begin(), flow.commands.end(), names_it) ||
         std::any_of(flow.extensions.setup.begin(), flow.extensions.setup.end(), names_it);
}

/// Collects what must be masked; each value and name once.
class SecretCollector {
 public:
  explicit SecretCollector(std::vector<MaskedSource>& secrets) : secrets_(secrets) {}

  void add(const std::string& name, std::string_view value, bool marked) {
    const std::string_view text = trimmed(value);
    if (text.empty()) return;
    for (MaskedSource& known : secrets_) {
      if (known.name != name || known.value.reveal() != text) continue;
      known.marked = known.marked || marked;
      return;
    }
    secrets_.push_back({name, Secret(std::string(text)), marked});
  }

  /// A value of the job: itself when it is secret, and what is secret inside it.
  void add_variable(const std::string& name, std::string_view value, bool secret, bool marked) {
    if (secret) add(name, value, marked);
    // Not in what a commenter wrote: their text must not make common words secrets and so stop a
    // push.
    if (secret || !name.starts_with(untrusted_prefix)) add(name, url_password(value), marked);
    if (secret && upper_case(name).find("HEADERS") != std::string::npos) add_headers(name, value);
  }

 private:
  /// `Authorization: Bearer x` in lines: the agent handles x alone too.
  void add_headers(const std::string& name, std::string_view lines) {
    while (!lines.empty()) {
      const std::size_t end = lines.find('\n');
      const std::string_view line = lines.substr(0, end);
      lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      std::string header = upper_case(trimmed(line.substr(0, colon)));
      std::replace(header.begin(), header.end(), '-', '_');
      if (!is_secret_name(header) && header.find("AUTHORIZATION") == std::string::npos) continue;
      const std::string_view value = trimmed(line.substr(colon + 1));
      const std::size_t space = value.find(' ');
      add(name, space == std::string_view::npos ? value : value.substr(space + 1), false);
    }
  }

  std::vector<MaskedSource>& secrets_;
};

class Resolver {
 public:
  explicit Resolver(const Job& job) : job_(job), collector_(out_.secrets) {}

  ResolvedVariables run() {
    const std::string& token_name = job_.repository.token_name;
    collector_.add(token_name.empty() ? "repository token" : token_name,
                   job_.repository.token.reveal(), true);
    choose();
    expand();
    reserve_own_files();
    for (std::size_t i = 0; i < chosen_.size(); ++i) place(*chosen_[i], entries_[i]);
    warn_missing();
    warn_total_size();
    return std::move(out_);
  }

 private:
  void warn(std::string text) {
    if (out_.warnings.size() > max_warnings) return;
    if (out_.warnings.size() == max_warnings) text = "further warnings on variables are left out";
    out_.warnings.push_back(std::move(text));
  }

  bool is_marked(const Variable& variable) const {
    return variable.masked || contains(job_.masking_also, variable.name);
  }

  /// Which variables reach the script, the last of each name; all others are only masked.
  void choose() {
    std::unordered_map<std::string_view, std::size_t> last;
    for (std::size_t i = 0; i < job_.variables.size(); ++i) {
      const Variable& variable = job_.variables[i];
      collector_.add_variable(variable.name, variable.value.reveal(), is_secret(job_, variable),
                              is_marked(variable));
      last[variable.name] = i;
    }
    const std::unordered_set<std::string_view> listed(job_.flow.variables.begin(),
                                                      job_.flow.variables.end());
    std::vector<std::string> not_listed;
    for (std::size_t i = 0; i < job_.variables.size(); ++i) {
      const Variable& variable = job_.variables[i];
      if (last[variable.name] != i) continue;
      if (!is_variable_name(variable.name)) {
        warn("the variable " + shown(variable.name) +
             " is left out: a name has letters, digits and _, at most 255 of them");
        continue;
      }
      given_.insert(variable.name);
      if (contains(withheld_names, variable.name)) {
        if (named_by_a_command(job_.flow, variable.name)) {
          chosen_.push_back(&variable);
        } else if (listed.count(variable.name) > 0) {
          warn(variable.name +
               " is withheld although the flow lists it: name it in a command as $" +
               variable.name + " to get it");
        }
        continue;
      }
      const auto has_prefix = [&](std::string_view p) { return variable.name.starts_with(p); };
      if (listed.count(variable.name) > 0 ||
          std::any_of(free_prefixes.begin(), free_prefixes.end(), has_prefix)) {
        chosen_.push_back(&variable);
      } else {
        not_listed.push_back(variable.name);
      }
    }
    if (!not_listed.empty()) {
      warn("given, but not in the flow's `variables`, so kept from the script: " +
           joined_names(std::move(not_listed)));
    }
  }

  /// Only what reaches the script can be expanded into it: else a reference would be a way around
  /// the list.
  void expand() {
    for (const Variable* variable : chosen_) {
      entries_.push_back({variable->name, variable->value, variable->raw, variable->file,
                          is_secret(job_, *variable)});
    }
    const ExpansionProblems problems = expand_variables(entries_);
    if (!problems.cyclic.empty()) {
      warn("not expanded, since they refer to themselves or to one that does: " +
           joined_names(problems.cyclic));
    }
    if (!problems.too_large.empty()) {
      warn("not expanded, since they would grow over 1 MiB, or all together over 8 MiB: " +
           joined_names(problems.too_large));
    }
  }

  static bool has_own_file(const ExpansionEntry& entry) {
    return !entry.opaque && (entry.name.starts_with(untrusted_prefix) ||
                             entry.value.size() > max_environment_value_bytes);
  }

  void reserve_own_files() {
    for (const ExpansionEntry& entry : entries_) {
      if (has_own_file(entry)) own_files_.insert(entry.name + std::string(file_suffix));
    }
  }

  void place(const Variable& variable, ExpansionEntry& entry) {
    const std::string& name = entry.name;
    const std::string_view value = entry.value.reveal();
    const bool marked = is_marked(variable);
    collector_.add_variable(name, value, is_secret(job_, variable), marked);
    if (own_files_.count(name) > 0) {
      // Flows and our own warnings rely on NAME_FILE being the file of NAME.
      warn("the job's own " + name + " is replaced by the path of a file with the value of " +
           name.substr(0, name.size() - file_suffix.size()));
      return;
    }
    if (variable.file) {
      out_.files.push_back({name, name, std::move(entry.value)});
      out_.environment.push_back({name, Secret(), entry.secret, true, variable.origin});
      return;
    }
    if (value.find('\0') != std::string_view::npos) {
      warn("the variable " + name +
           " is left out: its value holds a NUL byte, which no environment can carry; give it as a "
           "file variable");
      return;
    }
    const bool cut = value.size() > max_environment_value_bytes;
    const bool own_file = has_own_file(entry);
    Secret in_environment = entry.value;
    if (cut) {
      in_environment = Secret(std::string(utf8_prefix(value, max_environment_value_bytes)));
      if (entry.secret) collector_.add(name, in_environment.reveal(), marked);
      warn(name + " has " + std::to_string(value.size()) +
           " bytes: the environment holds the first " + std::to_string(in_environment.size()) +
           ", the file $" + name + std::string(file_suffix) + " all of them");
    }
    out_.environment.push_back(
        {name, std::move(in_environment), entry.secret, false, variable.origin});
    if (own_file) {
      const std::string path_name = name + std::string(file_suffix);
      out_.files.push_back({path_name, name, std::move(entry.value)});
      out_.environment.push_back({path_name, Secret(), false, true, variable.origin});
    }
  }

  void warn_missing() {
    const bool local = job_.source == "exec";
    for (const std::string& name : job_.flow.variables) {
      if (given_.count(name) > 0 || !is_variable_name(name)) continue;
      // A dry run of `exec` keeps the token that fetches to itself, and has said so.
      if (name == job_.repository.token_name) continue;
      if (has_default(job_.flow.commands, name)) continue;
      std::string text = "the flow lists " + name + ", but nobody gave it: ";
      if (!local) {
        text +=
            "in GitLab it is not defined for the project or its groups, or it is protected "
            "(workload refs are not), or its environment scope is not *";
      } else if (is_secret_name(name)) {
        text += "give it with --secret " + name;
      } else {
        text += "give it with --var " + name + "=…, or with --secret " + name;
      }
      warn(std::move(text));
    }
  }

  void warn_total_size() {
    std::size_t total = 0;
    for (const auto& variable : out_.environment)
      total += variable.name.size() + variable.value.size();
    if (total <= comfortable_environment_bytes) return;
    warn(
        "the variables take " + std::to_string(total) +
        " bytes in all: commands may fail with \"argument list too long\", since the kernel allows "
        "2 MiB");
  }

  const Job& job_;
  ResolvedVariables out_;
  SecretCollector collector_;
  std::vector<const Variable*> chosen_;
  std::vector<ExpansionEntry> entries_;
  std::unordered_set<std::string> given_;
  std::unordered_set<std::string> own_files_;
};

}  // namespace

bool is_variable_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > max_variable_name_bytes) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_secret_name(std::string_view name) {
  const std::string upper = upper_case(name);
  std::string_view rest = upper;
  bool secret = false;
  while (true) {
    const std::size_t end = rest.find('_');
    const std::string_view part = rest.substr(0, end);
    secret = secret || contains(secret_parts, part);
    if (end == std::string_view::npos) return secret && !contains(harmless_last_parts, part);
    rest.remove_prefix(end + 1);
  }
}

std::string_view url_password(std::string_view value) noexcept {
  const std::size_t scheme = value.find("://");
  if (scheme == std::string_view::npos || scheme == 0 || scheme > 16) return {};
  std::string_view authority = value.substr(scheme + 3);
  authority = authority.substr(0, authority.find_first_of("/?#\n"));
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return {};
  const std::string_view user_info = authority.substr(0, at);
  const std::size_t colon = user_info.find(':');
  return colon == std::string_view::npos ? std::string_view() : user_info.substr(colon + 1);
}

bool is_secret(const Job& job, const Variable& variable) {
  if (variable.masked || contains(job.masking_also, variable.name) ||
      contains(withheld_names, variable.name)) {
    return true;
  }
  return is_secret_name(variable.name) && !contains(job.masking_never, variable.name);
}

ResolvedVariables resolve_variables(const Job& job) { return Resolver(job).run(); }

std::vector<std::pair<std::string, Secret>> environment_in(const ResolvedVariables& variables,
                                                           std::string_view directory) {
  std::unordered_map<std::string_view, std::string_view> file_names;
  for (const VariableFile& file : variables.files) file_names[file.env_name] = file.file_name;
  std::vector<std::pair<std::string, Secret>> environment;
  for (const ResolvedVariable& variable : variables.environment) {
    if (!variable.file) {
      environment.emplace_back(variable.name, variable.value);
      continue;
    }
    std::string path(directory);
    path += '/';
    path += file_names[variable.name];
    environment.emplace_back(variable.name, Secret(std::move(path)));
  }
  return environment;
}

}  // namespace flow_runner
