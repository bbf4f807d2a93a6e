#include "config/lint/words.hpp"

#include <algorithm>
#include <array>

namespace flow_runner::lint {
namespace {

template <std::size_t Count>
bool is_one_of(std::string_view word, const std::array<std::string_view, Count>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string base_name(const Word& word) {
  if (!word.is_literal()) return {};
  const auto slash = word.text.rfind('/');
  return slash == std::string::npos ? word.text : word.text.substr(slash + 1);
}

}  // namespace

std::span<const Word> program_words(const SimpleCommand& command) {
  static constexpr std::array<std::string_view, 9> wrappers = {
      "sudo", "env", "exec", "command", "nohup", "timeout", "nice", "xargs", "stdbuf"};
  std::span<const Word> words = command.words;
  while (!words.empty()) {
    const std::string name = base_name(words.front());
    if (!is_one_of(name, wrappers)) break;
    std::span<const Word> rest = words.subspan(1);
    while (!rest.empty() && (rest.front().text.starts_with('-') ||
                             (name == "env" && rest.front().text.find('=') != std::string::npos)))
      rest = rest.subspan(1);
    if (name == "timeout" && !rest.empty()) rest = rest.subspan(1);
    if (rest.empty()) break;
    words = rest;
  }
  return words;
}

std::string program_name(const SimpleCommand& command) {
  const auto words = program_words(command);
  return words.empty() ? std::string() : base_name(words.front());
}

std::span<const Word> git_words(const SimpleCommand& command) {
  std::span<const Word> words = program_words(command);
  if (words.empty() || base_name(words.front()) != "git") return {};
  words = words.subspan(1);
  while (!words.empty() && words.front().text.starts_with('-')) {
    const bool takes_value = words.front().text == "-C" || words.front().text == "-c";
    words = words.subspan(std::min<std::size_t>(takes_value ? 2 : 1, words.size()));
  }
  return words;
}

bool is_git(const SimpleCommand& command, std::string_view subcommand) {
  const auto words = git_words(command);
  return !words.empty() && words.front().text == subcommand;
}

bool has_option(std::span<const Word> words, std::string_view option) {
  return std::any_of(words.begin(), words.end(), [option](const Word& word) {
    const std::string_view text = word.text;
    return text.starts_with(option) && (text.size() == option.size() || text[option.size()] == '=');
  });
}

bool has_letter(std::span<const Word> words, char letter) {
  return std::any_of(words.begin(), words.end(), [letter](const Word& word) {
    const std::string_view text = word.text;
    return text.size() > 1 && text[0] == '-' && text[1] != '-' &&
           text.find(letter) != std::string_view::npos;
  });
}

bool is_builtin(std::string_view name) {
  static constexpr std::array<std::string_view, 35> names = {
      "echo",    "printf",  "test",     "[",       "[[",      "export",    "local",
      "declare", "typeset", "readonly", "read",    "set",     "unset",     "cd",
      "pushd",   "popd",    "eval",     "source",  ".",       ":",         "true",
      "false",   "return",  "exit",     "shift",   "trap",    "wait",      "for",
      "select",  "case",    "alias",    "getopts", "mapfile", "readarray", "let"};
  return is_one_of(name, names);
}

bool is_shell(std::string_view name) {
  static constexpr std::array<std::string_view, 6> names = {"sh",  "bash", "dash",
                                                            "zsh", "ash",  "ksh"};
  return is_one_of(name, names);
}

bool is_agent(std::string_view name) {
  static constexpr std::array<std::string_view, 13> names = {
      "claude", "codex", "opencode", "gemini",       "q",       "kiro-cli", "aider",
      "amp",    "goose", "crush",    "cursor-agent", "copilot", "qwen"};
  return is_one_of(name, names);
}

bool writes_file(const SimpleCommand& command) {
  return std::any_of(command.redirects.begin(), command.redirects.end(), [](const Redirect& r) {
    if (r.op != ">" && r.op != ">>" && r.op != ">|" && r.op != "&>" && r.op != "&>>") return false;
    return r.descriptor == 1 && !r.target.text.starts_with("/dev/") && !r.target.text.empty();
  });
}

bool shows_value(const Expansion& expansion, std::string_view script) {
  if (expansion.kind != Expansion::Kind::variable) return false;
  if (expansion.span.of(script).starts_with("${#")) return false;
  const std::string_view op = expansion.operation;
  return !op.starts_with('+') && !op.starts_with(":+");
}

}  // namespace flow_runner::lint
