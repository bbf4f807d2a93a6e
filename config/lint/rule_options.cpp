// unknown-option, shell-syntax.
#include <algorithm>
#include <array>
#include <string>

#include "config/diagnostic.hpp"
#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"
#include "config/yaml_value.hpp"

namespace flow_runner::lint {
namespace {

/// The long options of a git subcommand (git 2.39 and what was added since); `no-` goes with each.
struct GitOptions {
  std::string_view subcommand;
  std::string_view names;  ///< each between spaces
};

constexpr std::array<GitOptions, 6> git_options = {{
    {"checkout",
     " guess overlay quiet recurse-submodules progress merge conflict detach track force orphan "
     "overwrite-ignore ignore-other-worktrees ours theirs patch ignore-skip-worktree-bits "
     "pathspec-from-file pathspec-file-nul unified inter-hunk-context "},
    {"switch",
     " create force-create guess discard-changes quiet recurse-submodules progress merge conflict "
     "detach track force orphan overwrite-ignore ignore-other-worktrees "},
    {"commit",
     " quiet verbose file author date message reedit-message reuse-message fixup squash "
     "reset-author trailer signoff template edit cleanup status gpg-sign all include interactive "
     "patch only verify dry-run short branch ahead-behind porcelain long null amend post-rewrite "
     "untracked-files pathspec-from-file pathspec-file-nul allow-empty allow-empty-message unified "
     "inter-hunk-context "},
    {"push",
     " verbose quiet repo all branches mirror delete tags dry-run porcelain force force-with-lease "
     "force-if-includes recurse-submodules thin receive-pack exec set-upstream progress prune "
     "verify follow-tags signed atomic push-option ipv4 ipv6 "},
    {"add",
     " dry-run verbose interactive patch edit force update renormalize intent-to-add all "
     "ignore-removal refresh ignore-errors ignore-missing sparse chmod warn-embedded-repo "
     "pathspec-from-file pathspec-file-nul unified inter-hunk-context "},
    {"status",
     " verbose short branch show-stash ahead-behind porcelain long null untracked-files ignored "
     "ignore-submodules column renames find-renames "},
}};

/// Wrong options with one right one.
struct Mistake {
  std::string_view program;  ///< or `git SUBCOMMAND`
  std::string_view wrong;
  std::string_view right;
};

constexpr std::array<Mistake, 7> mistakes = {{
    {"git checkout", "--branch", "-b"},
    {"git checkout", "--new-branch", "-b"},
    {"git checkout", "--create", "-b"},
    {"git switch", "--branch", "--create"},
    {"git switch", "--new-branch", "--create"},
    {"git commit", "--msg", "--message"},
    {"claude", "--prompt", "--print"},
}};

/// As git reads it: abbreviations are fine.
bool is_git_option(std::string_view name, std::string_view names) {
  const auto known = [names](std::string_view word) {
    return names.find(" " + std::string(word)) != std::string_view::npos;
  };
  if (name == "help" || name == "end-of-options" || known(name)) return true;
  return name.starts_with("no-") ? known(name.substr(3))
                                 : std::string_view("no-").starts_with(name);
}

const Mistake* find_mistake(std::string_view program, std::string_view option) {
  const auto found = std::find_if(mistakes.begin(), mistakes.end(), [&](const Mistake& mistake) {
    return mistake.program == program && mistake.wrong == option;
  });
  return found == mistakes.end() ? nullptr : found;
}

void report(const Subject& subject, Findings& findings, const ScriptItem& item, const Word& word,
            const std::string& program, std::string_view names) {
  const std::string_view option = std::string_view(word.text).substr(0, word.text.find('='));
  Remark remark{"unknown-option", Severity::error,
                "`" + program + "` has no option " + shown(option) +
                    ": the command fails, and with it the job",
                "see `" + program + " --help`"};
  const Mistake* mistake = find_mistake(program, option);
  if (mistake != nullptr) {
    remark.cure = "write `" + std::string(mistake->right) + "`";
    const Span span{word.span.begin, word.span.begin + option.size()};
    // `--branch=x` is no `-b=x`.
    if (option.size() == word.text.size() && !word.quoted) {
      if (auto edit = subject.replace(item, span, mistake->right)) remark.fix = {*edit};
    }
  } else if (!names.empty()) {
    std::vector<std::string_view> known;
    for (std::string_view rest = names.substr(1); !rest.empty();) {
      known.push_back(rest.substr(0, rest.find(' ')));
      rest.remove_prefix(known.back().size() + 1);
    }
    if (const auto near = closest(option.substr(2), known); !near.empty())
      remark.cure = "did you mean `--" + std::string(near) + "`?";
  }
  findings.add(item, word.span.begin, std::move(remark));
}

void check_command(const Subject& subject, Findings& findings, const ScriptItem& item,
                   const SimpleCommand& command) {
  std::string program = program_name(command);
  std::span<const Word> words = program_words(command);
  std::string_view names;
  if (const auto git = git_words(command); !git.empty()) {
    const auto known = std::find_if(
        git_options.begin(), git_options.end(),
        [&](const GitOptions& options) { return options.subcommand == git.front().text; });
    if (known == git_options.end()) return;
    names = known->names;
    program += " " + git.front().text;
    words = git;
  }
  for (const Word& word : words.subspan(std::min<std::size_t>(1, words.size()))) {
    if (word.text == "--") return;
    if (word.quoted || !word.is_literal() || !word.text.starts_with("--")) continue;
    const std::string_view option = std::string_view(word.text).substr(0, word.text.find('='));
    const bool wrong = names.empty() ? find_mistake(program, option) != nullptr
                                     : !is_git_option(option.substr(2), names);
    if (wrong && !findings.full()) report(subject, findings, item, word, program, names);
  }
}

}  // namespace

void check_options(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands)
      check_command(subject, findings, item, command);
  }
}

void check_syntax(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    const auto& problem = item.shell.problem;
    if (!problem) continue;
    // A shell only warns of the one, and the other is a limit of ours.
    const bool doubt = problem->what.find("here-document") != std::string::npos ||
                       problem->what.find("deeply") != std::string::npos;
    findings.add(item, problem->offset,
                 {"shell-syntax", doubt ? Severity::warning : Severity::error,
                  problem->what + ": what follows it is not read as you meant it",
                  "close it; `bash -n` shows where the shell gives up"});
  }
}

}  // namespace flow_runner::lint
