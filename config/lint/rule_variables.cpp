// undeclared-variable, unused-variable, unavailable-variable, listed-injected.
#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "config/diagnostic.hpp"
#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"
#include "config/variables.hpp"
#include "config/yaml_value.hpp"

namespace flow_runner::lint {
namespace {

struct Missing {
  std::string_view name;  ///< a last `*`: all that begin so
  std::string_view cure;
};

bool matches(std::string_view pattern, std::string_view name) {
  return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1))
                                : name == pattern;
}

/// Predefined variables that GitLab does not give to the jobs of flows.
const Missing* find_missing(std::string_view name) {
  static constexpr std::array<Missing, 24> missing = {{
      {"CI_COMMIT_SHA", "write `$(git rev-parse HEAD)`"},
      {"CI_COMMIT_SHORT_SHA", "write `$(git rev-parse --short HEAD)`"},
      {"CI_COMMIT_*", "ask git, or take it from AI_FLOW_CONTEXT"},
      {"CI_SERVER_HOST", "use AI_FLOW_GITLAB_HOSTNAME, or list a variable of your own"},
      {"CI_SERVER_FQDN", "use AI_FLOW_GITLAB_HOSTNAME, or list a variable of your own"},
      {"CI_SERVER_URL", "write `https://$AI_FLOW_GITLAB_HOSTNAME`"},
      {"CI_SERVER_PORT", "list a variable of your own"},
      {"CI_SERVER_PROTOCOL", "list a variable of your own"},
      {"CI_SERVER_NAME", "leave it out"},
      {"CI_SERVER_VERSION*", "leave it out"},
      {"CI_API_V4_URL", "write `https://$AI_FLOW_GITLAB_HOSTNAME/api/v4`"},
      {"CI_API_GRAPHQL_URL", "write `https://$AI_FLOW_GITLAB_HOSTNAME/api/graphql`"},
      {"CI_REGISTRY", "list a variable of your own"},
      {"CI_REGISTRY_IMAGE", "list a variable of your own"},
      {"CI_PIPELINE_SOURCE", "use AI_FLOW_EVENT"},
      {"CI_PIPELINE_IID", "use CI_PIPELINE_ID"},
      {"CI_PIPELINE_NAME", "leave it out"},
      {"CI_MERGE_REQUEST_*", "take it from AI_FLOW_CONTEXT"},
      {"CI_OPEN_MERGE_REQUESTS", "take it from AI_FLOW_CONTEXT"},
      {"CI_EXTERNAL_PULL_REQUEST_*", "take it from AI_FLOW_CONTEXT"},
      {"CI_ENVIRONMENT_*", "leave it out: a flow has no environment"},
      {"CI_DEPLOY_*", "list a variable of your own"},
      {"GITLAB_USER_*", "take the person from AI_FLOW_CONTEXT"},
      {"CI_BUILD_*", "use the CI_JOB_ name"},
  }};
  const auto found = std::find_if(missing.begin(), missing.end(), [name](const Missing& entry) {
    return matches(entry.name, name);
  });
  return found == missing.end() ? nullptr : found;
}

/// What the shell, the job or the image of every job sets.
bool is_given(std::string_view name) {
  static constexpr std::array<std::string_view, 52> names = {"PATH",
                                                             "HOME",
                                                             "USER",
                                                             "LOGNAME",
                                                             "SHELL",
                                                             "PWD",
                                                             "OLDPWD",
                                                             "TMPDIR",
                                                             "TERM",
                                                             "HOSTNAME",
                                                             "IFS",
                                                             "RANDOM",
                                                             "SECONDS",
                                                             "LINENO",
                                                             "UID",
                                                             "EUID",
                                                             "PPID",
                                                             "PIPESTATUS",
                                                             "OPTARG",
                                                             "OPTIND",
                                                             "REPLY",
                                                             "FUNCNAME",
                                                             "BASH*",
                                                             "LANG",
                                                             "LC_*",
                                                             "CI",
                                                             "CI_*",
                                                             "GITLAB_CI",
                                                             "AI_FLOW_*",
                                                             "GIT_AUTHOR_*",
                                                             "http_proxy",
                                                             "https_proxy",
                                                             "no_proxy",
                                                             "all_proxy",
                                                             "HTTP_PROXY",
                                                             "HTTPS_PROXY",
                                                             "NO_PROXY",
                                                             "ALL_PROXY",
                                                             "SHLVL",
                                                             "EPOCHSECONDS",
                                                             "SSL_CERT_FILE",
                                                             "_",
                                                             "NODE_EXTRA_CA_CERTS",
                                                             "CURL_CA_BUNDLE",
                                                             "GIT_SSL_CAINFO",
                                                             "REQUESTS_CA_BUNDLE",
                                                             "PIP_CERT",
                                                             "GIT_COMMITTER_*",
                                                             "XDG_*",
                                                             "NODE_VERSION",
                                                             "JAVA_HOME",
                                                             "DEBIAN_FRONTEND"};
  return std::any_of(names.begin(), names.end(),
                     [name](std::string_view pattern) { return matches(pattern, name); });
}

/// What programs read from their environment by themselves, so that no script names it.
bool is_read_by_programs(std::string_view name) {
  static constexpr std::array<std::string_view, 41> patterns = {
      "ANTHROPIC_*",  "CLAUDE_*",        "OPENAI_*",     "CODEX_*",      "GEMINI_*",
      "GOOGLE_*",     "AWS_*",           "AMAZON_*",     "AZURE_*",      "MISTRAL_*",
      "OPENROUTER_*", "GROQ_*",          "DEEPSEEK_*",   "XAI_*",        "OPENCODE_*",
      "VERTEX_*",     "CLOUD_ML_REGION", "GITLAB_TOKEN", "GITLAB_HOST",  "GITLAB_URI",
      "GL_HOST",      "GLAB_*",          "GH_*",         "GITHUB_TOKEN", "NPM_*",
      "npm_*",        "NODE_*",          "PIP_*",        "UV_*",         "GIT_*",
      "DISABLE_*",    "http_proxy",      "https_proxy",  "HTTP_PROXY",   "HTTPS_PROXY",
      "NO_PROXY",     "no_proxy",        "SSL_CERT_*",   "CURL_*",       "DOCKER_*",
      "MAX_*"};
  return name.ends_with("_API_KEY") || name.ends_with("_BASE_URL") ||
         std::any_of(patterns.begin(), patterns.end(),
                     [name](std::string_view pattern) { return matches(pattern, name); });
}

/// Names that the script itself gives a value, or asks whether they have one.
class OwnVariables {
 public:
  explicit OwnVariables(const Subject& subject) {
    for (const ScriptItem& item : subject.items) {
      for (const SimpleCommand& command : item.shell.commands) read(command);
      for (const Expansion& expansion : item.shell.expansions) {
        if (expansion.operation.starts_with('=') || expansion.operation.starts_with(":="))
          names_.insert(expansion.name);
      }
    }
  }

  [[nodiscard]] bool has(const std::string& name) const { return names_.contains(name); }
  /// Whether it runs text that is not in the file, which may set anything.
  [[nodiscard]] bool are_open() const { return open_; }

 private:
  void read(const SimpleCommand& command) {
    for (const Word& word : command.assignments) names_.emplace(leading_name(word.text));
    const std::string name = program_name(command);
    if (name == "." || name == "source" || name == "eval") open_ = true;
    if (name == "[" || name == "test" || name == "[[") read_test(command);
    const bool first_only = name == "for" || name == "select";
    const bool last_only = name == "mapfile" || name == "readarray";
    const bool all = name == "export" || name == "read" || name == "local" || name == "declare" ||
                     name == "typeset" || name == "readonly" || name == "getopts" ||
                     name == "printf" || name == "env";
    if (!first_only && !last_only && !all) return;
    const auto& words = command.words;
    for (std::size_t i = 1; i < words.size(); ++i) {
      const bool assigned = words[i].text.find('=') != std::string::npos;
      // `export X` alone gives X no value.
      if ((name == "export" || name == "env") && !assigned) continue;
      if (name == "printf" && words[i - 1].text != "-v") continue;
      if (first_only && i > 1) break;
      names_.emplace(leading_name(words[i].text));
    }
  }

  /// `[ -n "$X" ]`, `[ -z "$X" ]`: the script knows that X may be missing.
  void read_test(const SimpleCommand& command) {
    for (std::size_t i = 1; i + 1 < command.words.size(); ++i) {
      const std::string& op = command.words[i].text;
      if (op != "-n" && op != "-z") continue;
      for (const Expansion& expansion : command.words[i + 1].expansions)
        names_.insert(expansion.name);
    }
  }

  std::set<std::string> names_;
  bool open_ = false;
};

/// The listed name that a misspelt one was meant to be.
std::string meant(const Subject& subject, std::string_view name) {
  // More and longer ones than a person writes: comparing costs time.
  static constexpr std::size_t max_compared = 50;
  static constexpr std::size_t max_compared_bytes = 32;
  if (name.size() > max_compared_bytes) return {};
  std::vector<std::string_view> listed;
  for (const YamlNode* node : subject.variables) {
    if (listed.size() < max_compared && node->text.size() <= max_compared_bytes)
      listed.push_back(node->text);
  }
  return std::string(closest(name, listed));
}

void check_use(const Subject& subject, Findings& findings, const ScriptItem& item,
               const Expansion& expansion, const OwnVariables& own) {
  const std::string& name = expansion.name;
  if (findings.full()) return;
  if (subject.lists(name) || own.has(name) || expansion.has_default()) return;
  if (const Missing* missing = find_missing(name)) {
    findings.add(item, expansion.span.begin,
                 {"unavailable-variable", Severity::error,
                  "GitLab gives no " + name.substr(0, 60) + " to a flow's job: it is empty here",
                  std::string(missing->cure)});
    return;
  }
  if (is_given(name)) return;
  const bool secret = is_secret_name(name);
  if (own.are_open() && !secret) return;
  const std::string near = meant(subject, name);
  findings.add(
      item, expansion.span.begin,
      {"undeclared-variable", secret ? Severity::error : Severity::warning,
       shown(name) + " is not under `variables`, is not injected, and the script does not "
                     "set it: unless the image does, it is empty",
       near.empty() ? "list it under `variables`, or write `${NAME:-}` when it may be missing"
                    : "did you mean " + shown(near) + "?"});
}

/// Every run of letters, digits and `_` in the script, comments and quoted text included.
std::set<std::string_view> mentioned(const Subject& subject) {
  static constexpr std::string_view letters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  std::set<std::string_view> names;
  for (const ScriptItem& item : subject.items) {
    std::string_view rest = item.text();
    while (!rest.empty()) {
      rest.remove_prefix(std::min(rest.find_first_of(letters), rest.size()));
      const std::string_view name = rest.substr(0, rest.find_first_not_of(letters));
      names.insert(name);
      rest.remove_prefix(name.size());
    }
  }
  return names;
}

void check_listed(const std::set<std::string_view>& used, Findings& findings,
                  const YamlNode& node) {
  const std::string& name = node.text;
  if (!is_variable_name(name)) return;
  if (name.starts_with("AI_FLOW_") || name == "CI_WORKLOAD_REF" ||
      name.starts_with("CI_PROJECT_")) {
    findings.add(node, {"listed-injected", Severity::note,
                        "every job has this variable; listed, one of the project's with the same "
                        "name would replace it",
                        "take it off the list"});
    return;
  }
  if (used.contains(name) || is_read_by_programs(name)) return;
  findings.add(node, {"unused-variable", Severity::warning,
                      shown(name) + " is given to the job, and to the agent in it, and no command "
                                    "uses it",
                      "take it off the list, unless a program reads it from its environment"});
}

}  // namespace

void check_variables(const Subject& subject, Findings& findings) {
  const OwnVariables own(subject);
  for (const ScriptItem& item : subject.items) {
    std::set<std::string> said;
    for (const Expansion& expansion : item.shell.expansions) {
      if (expansion.kind != Expansion::Kind::variable || !said.insert(expansion.name).second)
        continue;
      check_use(subject, findings, item, expansion, own);
    }
  }
  const auto used = mentioned(subject);
  for (const YamlNode* node : subject.variables) check_listed(used, findings, *node);
}

}  // namespace flow_runner::lint
