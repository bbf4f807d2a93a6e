// prompt-substitution, context-in-argument: how the task reaches the agent.
#include <algorithm>
#include <string>

#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"

namespace flow_runner::lint {
namespace {

/// Programs that people call within a prompt on purpose.
bool is_reader(std::string_view name) {
  static constexpr std::string_view names =
      " cat jq head tail sed printf echo date envsubst pwd git grep glab ";
  return !name.empty() && names.find(" " + std::string(name) + " ") != std::string_view::npos;
}

bool is_prose(std::string_view text) {
  std::size_t gaps = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if ((text[i] == ' ' || text[i] == '\n') && text[i - 1] != ' ' && text[i - 1] != '\n') ++gaps;
  }
  return gaps >= 3;
}

std::string first_word(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_first_of(" \t\n", begin) - begin));
}

bool has_letter_or_digit(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '<';
  });
}

/// Judges one substitution in a prompt; `fixable` when it can only be text.
void check_substitution(const Subject& subject, Findings& findings, const ScriptItem& item,
                        const Expansion& expansion) {
  const std::string_view raw = expansion.span.of(item.text());
  const bool backtick = expansion.kind == Expansion::Kind::backtick;
  if (!backtick && expansion.kind != Expansion::Kind::command) return;
  if (raw.size() < (backtick ? 2 : 3)) return;
  const std::string_view inner =
      backtick ? raw.substr(1, raw.size() - 2) : raw.substr(2, raw.size() - 3);
  const std::string word = first_word(inner);
  const bool text_only = !has_letter_or_digit(inner);
  if (!backtick && !text_only && (is_reader(word) || inner.starts_with('<'))) return;
  const bool doubt = backtick ? word == "cat" || word == "date" || word == "pwd" : !text_only;
  Remark remark{"prompt-substitution", doubt ? Severity::warning : Severity::error,
                std::string(backtick ? "a command in backticks" : "a `$()`") +
                    " stands in a prompt: the shell runs it, and the agent never reads it",
                std::string("write ") + (backtick ? "`\\`` for each of them" : "`\\$(`") +
                    ", or give the prompt by standard input from a file"};
  if (!doubt && inner.find('\\') == std::string_view::npos) {
    const auto escape = [&](std::size_t at) {
      if (auto edit = subject.replace(item, {at, at}, "\\")) remark.fix.push_back(std::move(*edit));
    };
    escape(expansion.span.begin);
    if (backtick) escape(expansion.span.end - 1);
  }
  findings.add(item, expansion.span.begin, std::move(remark));
}

void check_word(const Subject& subject, Findings& findings, const ScriptItem& item,
                const Word& word) {
  if (!word.quoted || !is_prose(word.text)) return;
  for (const Expansion& expansion : word.expansions) {
    if (expansion.quoted) check_substitution(subject, findings, item, expansion);
  }
}

bool names_a_prompt(const Word& assignment) {
  const std::string_view name = leading_name(assignment.text);
  return name.find("PROMPT") != std::string_view::npos ||
         name.find("INSTRUCTIONS") != std::string_view::npos;
}

void check_context(Findings& findings, const ScriptItem& item, const SimpleCommand& command) {
  for (const Word& word : program_words(command)) {
    for (const Expansion& expansion : word.expansions) {
      if (expansion.kind != Expansion::Kind::variable) continue;
      if (expansion.name != "AI_FLOW_CONTEXT" && expansion.name != "AI_FLOW_INPUT") continue;
      findings.add(
          item, expansion.span.begin,
          {"context-in-argument", Severity::note,
           expansion.name + " becomes part of one argument, of which Linux takes 128 KiB: a "
                            "long context cannot start the program, or is cut",
           "give it by standard input from the file that " + expansion.name + "_FILE names"});
      return;
    }
  }
}

}  // namespace

void check_prompts(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands) {
      const std::string name = program_name(command);
      for (const Word& word : command.assignments) {
        if (names_a_prompt(word)) check_word(subject, findings, item, word);
      }
      if (!name.empty() && !is_builtin(name)) check_context(findings, item, command);
      if (is_agent(name)) {
        for (const Word& word : command.words) check_word(subject, findings, item, word);
      } else if (name == "export") {
        for (const Word& word : command.words) {
          if (names_a_prompt(word)) check_word(subject, findings, item, word);
        }
      }
      if (!is_agent(name) && name != "cat") continue;
      for (const HereDocument& heredoc : item.shell.heredocs) {
        if (heredoc.command != command.span.begin || !is_prose(heredoc.body.of(item.text())))
          continue;
        for (const Expansion& expansion : heredoc.expansions)
          check_substitution(subject, findings, item, expansion);
      }
    }
  }
}

}  // namespace flow_runner::lint
