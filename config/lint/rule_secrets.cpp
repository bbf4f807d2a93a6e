// literal-secret, token-in-argument, secret-printed, xtrace.
#include <algorithm>
#include <array>
#include <bitset>
#include <string>

#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"
#include "config/variables.hpp"

namespace flow_runner::lint {
namespace {

/// A kind of token that is known by its beginning.
struct Pattern {
  std::string_view prefix;
  std::size_t least;  ///< characters behind the prefix
  bool dashes;        ///< whether `-` and `_` are among them
};

constexpr std::array<Pattern, 14> patterns = {{
    {"glpat-", 20, true},
    {"gldt-", 20, true},
    {"glrt-", 20, true},
    {"gloas-", 20, true},
    {"glptt-", 20, true},
    {"ghp_", 36, false},
    {"gho_", 36, false},
    {"github_pat_", 40, true},
    {"sk-ant-", 20, true},
    {"sk-proj-", 20, true},
    {"AKIA", 16, false},
    {"AIza", 35, true},
    {"xoxb-", 20, true},
    {"npm_", 36, false},
}};

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_token(std::string_view rest, const Pattern& pattern) {
  std::size_t length = 0;
  std::bitset<256> seen;
  while (length < rest.size() && length < 256 &&
         (is_alphanumeric(rest[length]) ||
          (pattern.dashes && (rest[length] == '-' || rest[length] == '_')))) {
    seen.set(static_cast<unsigned char>(rest[length]));
    ++length;
  }
  // `glpat-xxxxxxxxxxxxxxxxxxxx` stands for one.
  return length >= pattern.least && seen.count() >= 8;
}

void check_literals(const Subject& subject, Findings& findings) {
  const std::string_view bytes = subject.lines.bytes();
  const auto report = [&](std::size_t at) {
    findings.add(at, {"literal-secret", Severity::error,
                      "this looks like a token or key: whoever reads the repository has it",
                      "revoke it, make it a masked CI/CD variable, and list its name under "
                      "`variables`"});
  };
  for (const Pattern& pattern : patterns) {
    for (std::size_t at = bytes.find(pattern.prefix); at != std::string_view::npos;
         at = bytes.find(pattern.prefix, at + 1)) {
      const bool begins = at == 0 || (!is_alphanumeric(bytes[at - 1]) && bytes[at - 1] != '-' &&
                                      bytes[at - 1] != '_');
      if (begins && is_token(bytes.substr(at + pattern.prefix.size()), pattern)) report(at);
    }
  }
  static constexpr std::string_view block = "-----BEGIN ";
  for (std::size_t at = bytes.find(block); at != std::string_view::npos;
       at = bytes.find(block, at + 1)) {
    if (bytes.substr(at, 60).find("PRIVATE KEY-----") != std::string_view::npos) report(at);
  }
}

/// The first secret whose value a word shows.
const Expansion* secret_in(const Word& word, std::string_view script) {
  const auto found = std::find_if(
      word.expansions.begin(), word.expansions.end(),
      [&](const Expansion& e) { return shows_value(e, script) && is_secret_name(e.name); });
  return found == word.expansions.end() ? nullptr : &*found;
}

bool reads_nothing_on(const SimpleCommand& command) {
  return command.depth == 0 && command.after != "|" && command.after != "|&" &&
         command.redirects.empty();
}

void check_printed(Findings& findings, const ScriptItem& item, const SimpleCommand& command,
                   const std::string& name) {
  if (!reads_nothing_on(command)) return;
  const bool dumps = (name == "env" || name == "printenv") && command.words.size() == 1;
  if (dumps) {
    findings.add(item, command.span.begin,
                 {"secret-printed", Severity::warning,
                  "`" + name + "` prints every variable into the log, secrets too",
                  "print the ones that you need by name"});
  }
  if (name != "echo" && name != "printf") return;
  for (const Word& word : command.words) {
    const Expansion* secret = secret_in(word, item.text());
    if (secret == nullptr) continue;
    findings.add(item, secret->span.begin,
                 {"secret-printed", Severity::warning,
                  "the value of " + secret->name +
                      " is printed into the log, where only known "
                      "forms of it are masked",
                  "print whether it is set: `${" + secret->name + ":+set}`"});
    return;
  }
}

void check_arguments(Findings& findings, const ScriptItem& item, const SimpleCommand& command,
                     const std::string& name) {
  if (name.empty() || is_builtin(name)) return;
  for (const Word& word : program_words(command)) {
    const Expansion* secret = secret_in(word, item.text());
    const bool address = word.text.find("://") != std::string::npos;
    if (secret == nullptr || address) continue;
    findings.add(item, secret->span.begin,
                 {"token-in-argument", Severity::warning,
                  secret->name + " is an argument of `" + name.substr(0, 40) +
                      "`: every process of the job can read it",
                  "let the program read it from the environment, a file or standard input"});
    return;
  }
}

void check_xtrace(Findings& findings, const ScriptItem& item, const SimpleCommand& command,
                  const std::string& name) {
  const bool shell_option = name == "set" || is_shell(name);
  if (!shell_option) return;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string& word = command.words[i].text;
    const bool letters =
        word.size() > 1 && word[0] == '-' && word[1] != '-' && word.find('x') != std::string::npos;
    if (!letters && word != "xtrace") continue;
    findings.add(item, command.words[i].span.begin,
                 {"xtrace", Severity::warning,
                  "from here on every command is printed with its values, secrets too",
                  "leave it out: each command of a flow is shown before it runs"});
    return;
  }
}

}  // namespace

void check_secrets(const Subject& subject, Findings& findings) {
  check_literals(subject, findings);
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands) {
      const std::string name = program_name(command);
      check_printed(findings, item, command, name);
      check_arguments(findings, item, command, name);
      check_xtrace(findings, item, command, name);
    }
  }
}

}  // namespace flow_runner::lint
