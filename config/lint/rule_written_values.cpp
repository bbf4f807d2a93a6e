// unquoted-write, file-variable: `echo $X > file`.
#include <algorithm>
#include <array>
#include <string>

#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"
#include "config/variables.hpp"

namespace flow_runner::lint {
namespace {

bool is_unquoted_variable(const Expansion& expansion) {
  return expansion.kind == Expansion::Kind::variable && !expansion.quoted;
}

/// Whether its value comes from outside the script, and can hold anything.
bool is_foreign(const Subject& subject, std::string_view name) {
  return subject.lists(name) || name.starts_with("AI_FLOW_") || is_secret_name(name);
}

/// Quotes around what was expanded bare; with the one word of an `echo`, `printf` too, as `echo`
/// gives `-n` and `\n` a meaning.
std::vector<Edit> quoting_fix(const Subject& subject, const ScriptItem& item,
                              const SimpleCommand& command) {
  if (command.depth > 0 || command.words.front().text == "xargs") return {};
  const std::string_view script = item.text();
  const auto words = program_words(command);
  const auto raw_of = [script](const Word& word) { return std::string(word.span.of(script)); };
  const auto is_bare = [&](const Word& word) {
    return raw_of(word).find_first_of("\"'\\`*?[{~") == std::string::npos ||
           (word.expansions.size() == 1 && word.expansions[0].span.begin == word.span.begin &&
            word.expansions[0].span.end == word.span.end &&
            raw_of(word).find_first_of("\"'\\`") == std::string::npos);
  };
  std::vector<Edit> fix;
  const auto add = [&](Span span, const std::string& text) {
    if (auto edit = subject.replace(item, span, text)) fix.push_back(std::move(*edit));
  };
  std::size_t wanted = 1;
  if (words.size() == 2 && words[0].text == "echo" && words[1].expansions.size() == 1 &&
      words[1].expansions[0].span.begin == words[1].span.begin &&
      words[1].expansions[0].span.end == words[1].span.end && is_bare(words[1])) {
    add({words[0].span.begin, words[1].span.end}, "printf '%s\\n' \"" + raw_of(words[1]) + "\"");
  } else {
    wanted = 0;
    for (const Word& word : words) {
      if (std::none_of(word.expansions.begin(), word.expansions.end(), is_unquoted_variable))
        continue;
      if (!is_bare(word)) return {};
      ++wanted;
      add(word.span, "\"" + raw_of(word) + "\"");
    }
  }
  if (fix.size() != wanted) fix.clear();
  return fix;
}

void check_quotes(const Subject& subject, Findings& findings, const ScriptItem& item,
                  const SimpleCommand& command) {
  const Expansion* first = nullptr;
  bool foreign = false;
  for (const Word& word : program_words(command)) {
    for (const Expansion& expansion : word.expansions) {
      if (!is_unquoted_variable(expansion)) continue;
      if (first == nullptr) first = &expansion;
      foreign = foreign || is_foreign(subject, expansion.name);
    }
  }
  if (first == nullptr) return;
  findings.add(item, first->span.begin,
               {"unquoted-write", foreign ? Severity::error : Severity::warning,
                "without quotes the value of " + first->name +
                    " is split at blanks and `*` in it "
                    "becomes file names: what is written is another text",
                "write `printf '%s\\n' \"$" + first->name + "\"`",
                foreign ? quoting_fix(subject, item, command) : std::vector<Edit>()});
}

/// Names of variables that often have the type `file`.
bool is_often_file(std::string_view name) {
  static constexpr std::array<std::string_view, 11> endings = {
      "CREDENTIALS", "CONFIG", "JSON",     "KUBECONFIG",  "CERT",   "CERTIFICATE",
      "PEM",         "FILE",   "KEYSTORE", "PRIVATE_KEY", "SSH_KEY"};
  return std::any_of(endings.begin(), endings.end(), [name](std::string_view ending) {
    if (!name.ends_with(ending)) return false;
    return name.size() == ending.size() || name[name.size() - ending.size() - 1] == '_';
  });
}

void check_type(const Subject& subject, Findings& findings, const ScriptItem& item,
                const SimpleCommand& command) {
  const auto words = program_words(command);
  const Word& value = words.back();
  if (words.size() < 2 || value.expansions.size() != 1) return;
  const Expansion& expansion = value.expansions.front();
  const bool whole =
      value.text == "$" + expansion.name || value.text == "${" + expansion.name + "}";
  if (!whole || !subject.lists(expansion.name) || !is_often_file(expansion.name)) return;
  findings.add(item, expansion.span.begin,
               {"file-variable", Severity::warning,
                "if " + expansion.name +
                    " has the type `file`, it holds a path, and this writes the "
                    "path instead of the content",
                "give it the type `variable`, or write `cp \"$" + expansion.name + "\" FILE`"});
}

}  // namespace

void check_written_values(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands) {
      const std::string name = program_name(command);
      if ((name != "echo" && name != "printf") || !writes_file(command)) continue;
      check_quotes(subject, findings, item, command);
      check_type(subject, findings, item, command);
    }
  }
}

}  // namespace flow_runner::lint
