// push-tail, workload-ref: what flows do by hand after the agent has ended.
#include <algorithm>
#include <array>
#include <string>

#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"

namespace flow_runner::lint {
namespace {

bool is_echo(const SimpleCommand& command) {
  const std::string name = program_name(command);
  return (name == "echo" || name == "printf") && !writes_file(command);
}

bool only_echoes(const ScriptItem& item) {
  return !item.shell.problem &&
         std::all_of(item.shell.commands.begin(), item.shell.commands.end(), is_echo);
}

/// Whether a command belongs to finding, committing and pushing changes, and does nothing else.
bool is_part_of_tail(const SimpleCommand& command) {
  static constexpr std::array<std::string_view, 18> harmless = {
      "echo", "printf", "[",    "[[",   "test", "true", ":",    "false", "exit",
      "grep", "wc",     "head", "tail", "tr",   "cut",  "sort", "set",   "sleep"};
  static constexpr std::array<std::string_view, 14> git = {
      "checkout", "switch", "add",       "commit",   "push", "diff",       "status",
      "ls-files", "fetch",  "rev-parse", "rev-list", "log",  "diff-index", "branch"};
  if (writes_file(command)) return false;
  if (command.words.empty()) return true;
  if (const auto words = git_words(command); !words.empty())
    return std::find(git.begin(), git.end(), words.front().text) != git.end();
  const std::string name = program_name(command);
  return std::find(harmless.begin(), harmless.end(), name) != harmless.end();
}

bool is_tail_only(const ScriptItem& item) {
  return !item.shell.problem &&
         std::all_of(item.shell.commands.begin(), item.shell.commands.end(), is_part_of_tail);
}

/// Words that are no options and no value of one.
std::size_t operands(std::span<const Word> words, std::string_view with_value) {
  std::size_t count = 0;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& text = words[i].text;
    if (!text.starts_with('-')) {
      ++count;
      continue;
    }
    const bool is_short = text.size() > 1 && text[1] != '-';
    const bool takes = is_short
                           ? with_value.find(text.back()) != std::string_view::npos
                           : (text == "--message" || text == "--author" || text == "--trailer");
    if (takes) ++i;
  }
  return count;
}

bool names_workload(const Word& word) {
  return word.text.find("CI_WORKLOAD_REF") != std::string::npos;
}

/// Whether flow-runner's own publication does all that a git command of the tail does, or the
/// command only looks.
bool is_replaced(std::span<const Word> words) {
  static constexpr std::array<std::string_view, 10> looking = {
      "diff",     "status", "ls-files", "fetch",      "rev-parse",
      "rev-list", "log",    "branch",   "diff-index", "show"};
  const std::string& name = words.front().text;
  if (std::find(looking.begin(), looking.end(), name) != looking.end()) return true;
  const auto all = [&](auto accepts) {
    return std::all_of(words.begin() + 1, words.end(), accepts);
  };
  if (name == "add")
    return all([](const Word& word) {
      return word.text == "-A" || word.text == "--all" || word.text == "." || word.text == "-v";
    });
  if (name == "commit") return operands(words, "mF") == 0;
  if (name == "push")
    return all([](const Word& word) {
      return word.text.starts_with('-') || word.text == "origin" || word.text == "HEAD" ||
             word.text == "ci.skip" || word.text.find("://") != std::string::npos ||
             names_workload(word);
    });
  // To the workload's branch only: another one, or a file's content, is somebody's wish.
  return std::any_of(words.begin(), words.end(), names_workload);
}

/// Whether it can go without anything being lost: a check of a file, or an end with failure, is a
/// gate in front of the push, and says what nobody else does.
bool can_go(const SimpleCommand& command) {
  if (command.words.empty() || is_echo(command)) return true;
  if (const auto words = git_words(command); !words.empty()) return is_replaced(words);
  const std::string name = program_name(command);
  const auto words = program_words(command);
  if (name == "[" || name == "[[" || name == "test")
    return std::none_of(words.begin(), words.end(), [](const Word& word) {
      static constexpr std::array<std::string_view, 11> of_files = {
          "-e", "-f", "-s", "-d", "-r", "-w", "-x", "-L", "-nt", "-ot", "-h"};
      return std::find(of_files.begin(), of_files.end(), word.text) != of_files.end();
    });
  if (name == "exit") return words.size() == 1 || words[1].text == "0";
  if (name == "grep") return operands(words, "e") <= 1 && command.before == "|";
  if (name == "set" || name == "sleep" || name == "true" || name == ":" || name == "false")
    return true;
  return operands(words, "ncdf") == 0 || (name == "tr" && command.before == "|");
}

bool detects(const SimpleCommand& command) {
  const auto words = git_words(command);
  if (words.empty()) return false;
  const std::string& name = words.front().text;
  if (name == "status") {
    return has_option(words, "--porcelain") || has_option(words, "--short") ||
           has_letter(words, 's');
  }
  if (name == "diff" || name == "diff-index") {
    return has_option(words, "--quiet") || has_option(words, "--exit-code") ||
           has_option(words, "--name-only");
  }
  return name == "ls-files" && (has_option(words, "--others") || has_letter(words, 'o') ||
                                has_option(words, "--modified") || has_letter(words, 'm'));
}

/// What a run of items does.
struct Facts {
  bool commits = false, pushes = false, detects = false, sees_commits = false;
  bool lists_new_files = false, broken_test = false;
  const ScriptItem* item = nullptr;  // of the first command that detects, else pushes
  std::size_t at = 0;
};

Facts facts_of(std::span<const ScriptItem> items) {
  Facts facts;
  bool placed = false;
  for (const ScriptItem& item : items) {
    for (const SimpleCommand& command : item.shell.commands) {
      const auto words = git_words(command);
      const std::string name = words.empty() ? std::string() : words.front().text;
      const bool detecting = detects(command);
      if (name == "commit") facts.commits = true;
      if (name == "push") facts.pushes = true;
      if (name == "rev-list" || name == "log") facts.sees_commits = true;
      if (name == "status" || (name == "ls-files" && detecting)) facts.lists_new_files = true;
      const std::string program = program_name(command);
      if ((program == "[" || program == "test") &&
          (has_option(command.words, "--not") || has_option(command.words, "--zero")))
        facts.broken_test = true;
      if (!placed && (detecting || name == "push")) {
        facts.item = &item;
        facts.at = command.span.begin;
        placed = detecting;
      }
      if (detecting) facts.detects = true;
    }
  }
  return facts;
}

bool has_push(const ScriptItem& item) {
  return std::any_of(item.shell.commands.begin(), item.shell.commands.end(),
                     [](const SimpleCommand& command) { return is_git(command, "push"); });
}

/// An `echo` that only announces what follows it.
bool announces(const ScriptItem& item) {
  std::string text = item.text();
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return std::any_of(item.shell.commands.begin(), item.shell.commands.end(), is_echo) &&
         (text.find("push") != std::string::npos || text.find("commit") != std::string::npos ||
          text.find("change") != std::string::npos);
}

std::string what_it_misses(const Facts& facts) {
  std::string missed;
  if (!facts.sees_commits) missed = "commits that the agent made itself";
  if (facts.broken_test || !facts.lists_new_files) {
    missed += std::string(missed.empty() ? "" : ", and ") + "new files when nothing else changed";
  }
  return missed.empty() ? "what the server refuses to take" : missed;
}

}  // namespace

void check_push_tail(const Subject& subject, Findings& findings) {
  const std::span<const ScriptItem> items = subject.items;
  std::size_t last = items.size();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (has_push(items[i]) && !items[i].setup) last = i;
  }
  if (last == items.size()) return;
  std::size_t first = last;
  while (first > 0 && !items[first - 1].setup && is_tail_only(items[first - 1])) --first;
  while (first < last && only_echoes(items[first]) && !announces(items[first])) ++first;
  const auto tail = items.subspan(first, last - first + 1);
  const Facts facts = facts_of(tail);
  if (!facts.commits || !facts.pushes || facts.item == nullptr) return;

  Remark remark;
  remark.rule = "push-tail";
  if (facts.detects) {
    remark.message = "this hand-written push loses work: it does not see " + what_it_misses(facts);
  } else {
    remark.severity = Severity::warning;
    remark.message =
        "this hand-written push fails the job when there is nothing to commit, and loses the work "
        "when it is refused";
  }
  remark.cure =
      "remove it: flow-runner publishes the agent's commits and all uncommitted and new files by "
      "itself, and keeps what it cannot push";
  const auto behind = items.subspan(last + 1);
  const bool ends_there = std::all_of(behind.begin(), behind.end(), only_echoes);
  const bool leaves_something =
      std::any_of(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(first),
                  [](const ScriptItem& item) { return !item.setup && !only_echoes(item); });
  const bool loses_nothing = std::all_of(tail.begin(), tail.end(), [](const ScriptItem& item) {
    return std::all_of(item.shell.commands.begin(), item.shell.commands.end(), can_go);
  });
  if (is_tail_only(items[last]) && ends_there && leaves_something && loses_nothing) {
    for (const ScriptItem& item : tail) {
      auto edit = subject.remove(item);
      if (!edit) {
        remark.fix.clear();
        break;
      }
      remark.fix.push_back(std::move(*edit));
    }
  }
  findings.add(*facts.item, facts.at, std::move(remark));
}

void check_workload_ref(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands) {
      const auto words = git_words(command);
      if (words.empty()) continue;
      const std::string& name = words.front().text;
      const bool makes = name == "checkout" || name == "switch";
      if (!makes && name != "push") continue;
      const auto whole = std::find_if(words.begin(), words.end(), [](const Word& word) {
        return word.text == "$CI_WORKLOAD_REF" || word.text == "${CI_WORKLOAD_REF}";
      });
      if (whole == words.end()) continue;
      findings.add(item, whole->span.begin,
                   {"workload-ref", Severity::warning,
                    "`git " + name +
                        "` takes CI_WORKLOAD_REF for a branch: since GitLab 18.7 it is "
                        "`refs/workloads/…`, and the command fails",
                    makes ? "stay on the detached HEAD: flow-runner pushes what is there"
                          : "leave the push to flow-runner"});
    }
  }
}

}  // namespace flow_runner::lint
