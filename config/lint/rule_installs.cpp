// pipe-to-shell, unpinned-install.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "config/diagnostic.hpp"
#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"

namespace flow_runner::lint {
namespace {

bool downloads(const SimpleCommand& command) {
  const std::string name = program_name(command);
  return name == "curl" || name == "wget";
}

/// Whether it runs what it reads from standard input.
bool runs_input(const SimpleCommand& command) {
  const std::string name = program_name(command);
  if (is_shell(name)) return true;
  const bool interpreter =
      name == "python" || name == "python3" || name == "node" || name == "perl" || name == "ruby";
  const auto words = program_words(command);
  return interpreter && (words.size() == 1 || words[1].text == "-");
}

void report_pipe(Findings& findings, const ScriptItem& item, std::size_t at) {
  findings.add(item, at,
               {"pipe-to-shell", Severity::warning,
                "this runs whatever the server sends at that moment, next to the job's secrets",
                "install a package with a version, put the tool into the image, or compare a "
                "checksum before running it"});
}

void check_pipes(Findings& findings, const ScriptItem& item) {
  std::vector<const SimpleCommand*> downloads_seen;
  for (const SimpleCommand& command : item.shell.commands) {
    if (downloads(command)) downloads_seen.push_back(&command);
  }
  std::set<std::size_t> fed;  // pipelines in which a download came before
  for (const SimpleCommand& command : item.shell.commands) {
    if (downloads(command)) fed.insert(command.pipeline);
    if (fed.contains(command.pipeline) && runs_input(command)) {
      report_pipe(findings, item, command.span.begin);
      continue;
    }
    const std::string name = program_name(command);
    if (!is_shell(name) && name != "eval" && name != "source" && name != ".") continue;
    // `bash -c "$(curl …)"`
    auto inner = std::lower_bound(
        downloads_seen.begin(), downloads_seen.end(), command.span.begin,
        [](const SimpleCommand* seen, std::size_t begin) { return seen->span.begin < begin; });
    for (; inner != downloads_seen.end() && command.span.holds((*inner)->span.begin); ++inner) {
      if ((*inner)->depth != command.depth + 1) continue;
      report_pipe(findings, item, command.span.begin);
      break;
    }
  }
}

/// An installer, and how a version is written for it.
struct Installer {
  std::string_view program;
  std::string_view subcommand;  ///< empty: none
  char separator;               ///< `@`, or `=` for `==`
};

constexpr std::array<Installer, 14> installers = {{
    {"npm", "install", '@'},
    {"npm", "i", '@'},
    {"npm", "add", '@'},
    {"pnpm", "add", '@'},
    {"yarn", "add", '@'},
    {"bun", "add", '@'},
    {"npx", "", '@'},
    {"bunx", "", '@'},
    {"pip", "install", '='},
    {"pip3", "install", '='},
    {"pipx", "install", '='},
    {"uvx", "", '='},
    {"go", "install", '@'},
    {"cargo", "install", '@'},
}};

bool is_pinned(const Word& word, char separator) {
  const std::string_view text = word.text;
  // The version, or all of it, comes from a variable.
  if (!word.is_literal()) return true;
  if (text.empty() || text[0] == '.' || text[0] == '/' || text[0] == '~' ||
      text.find("://") != std::string_view::npos || text.ends_with(".tgz") ||
      text.ends_with(".whl"))
    return true;
  const auto at = text.find('@', 1);
  const std::string_view version =
      at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  if (!version.empty()) return version != "latest" && version != "next";
  return separator == '=' && text.find_first_of("=<>~") != std::string_view::npos;
}

bool takes_value(std::string_view option) {
  static constexpr std::array<std::string_view, 18> options = {"--registry",
                                                               "--prefix",
                                                               "--cache",
                                                               "--userconfig",
                                                               "--loglevel",
                                                               "-r",
                                                               "-c",
                                                               "-e",
                                                               "-t",
                                                               "-i",
                                                               "--requirement",
                                                               "--constraint",
                                                               "--editable",
                                                               "--target",
                                                               "--index-url",
                                                               "--extra-index-url",
                                                               "--python",
                                                               "-p"};
  return std::find(options.begin(), options.end(), option) != options.end();
}

/// The words from the installer's own name on: `python -m pip` and `uv pip` start one too.
std::span<const Word> installer_words(const SimpleCommand& command) {
  const auto words = program_words(command);
  if (words.size() < 3) return words;
  const std::string name = program_name(command);
  if (name.starts_with("python") && words[1].text == "-m") return words.subspan(2);
  if (name == "uv" && words[1].text == "pip") return words.subspan(1);
  return words;
}

void check_install(Findings& findings, const ScriptItem& item, const SimpleCommand& command) {
  auto words = installer_words(command);
  if (words.empty()) return;
  const std::string name = words.front().text;
  words = words.subspan(1);
  const auto installer =
      std::find_if(installers.begin(), installers.end(), [&](const Installer& i) {
        return i.program == name &&
               (i.subcommand.empty() ||
                has_option(words.first(std::min<std::size_t>(words.size(), 3)), i.subcommand));
      });
  if (installer == installers.end()) return;
  const bool node = name == "npm" || name == "pnpm" || name == "yarn" || name == "bun";
  const bool global = has_option(words, "--global") || has_letter(words, 'g') ||
                      has_option(words, "--location") || has_option(words, "global");
  // What a project asks for is pinned by its lock file.
  if (node && !global) return;
  const bool runs_it = installer->subcommand.empty();
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Word& word = words[i];
    if (takes_value(word.text)) {
      ++i;
      continue;
    }
    if (word.text.starts_with('-') || word.text == installer->subcommand || word.text == "global")
      continue;
    if (!is_pinned(word, installer->separator)) {
      findings.add(
          item, word.span.begin,
          {"unpinned-install", Severity::warning,
           shown(word.text) + " is installed in the version that is newest at the time: the "
                              "flow can break, or run what nobody has looked at, overnight",
           std::string("write the version: `NAME") + (installer->separator == '@' ? "@" : "==") +
               "1.2.3`"});
    }
    // The first word is the package, all else its arguments.
    if (runs_it) return;
  }
}

}  // namespace

void check_installs(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    check_pipes(findings, item);
    for (const SimpleCommand& command : item.shell.commands) check_install(findings, item, command);
  }
}

}  // namespace flow_runner::lint
