// fixed-push-url, token-in-url.
#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"
#include "config/variables.hpp"

namespace flow_runner::lint {
namespace {

/// An address within a word, as spans of the script.
struct Address {
  Span user;  ///< with its `@`; empty: none
  Span host;
  Span path;  ///< without the `/` before it
};

std::optional<Address> find_address(std::string_view script, const Word& word) {
  const std::string_view raw = word.span.of(script);
  const auto scheme = raw.find("://");
  if (scheme == std::string_view::npos) return std::nullopt;
  const std::size_t begin = scheme + 3;
  const std::size_t host_end = std::min(raw.find_first_of("/\"'?#", begin), raw.size());
  const std::string_view authority = raw.substr(begin, host_end - begin);
  const auto at = authority.rfind('@');
  const std::size_t host_begin = at == std::string_view::npos ? begin : begin + at + 1;
  std::size_t path_begin = host_end;
  if (path_begin < raw.size() && raw[path_begin] == '/') ++path_begin;
  const std::size_t path_end = path_begin == host_end
                                   ? host_end
                                   : std::min(raw.find_first_of("\"'?#", path_begin), raw.size());
  const std::size_t base = word.span.begin;
  return Address{{base + begin, base + host_begin},
                 {base + host_begin, base + host_end},
                 {base + path_begin, base + path_end}};
}

/// The word of a `git push` or `git remote set-url` that names where pushes go.
const Word* push_target(const SimpleCommand& command) {
  const auto words = git_words(command);
  if (words.empty()) return nullptr;
  const bool push = words.front().text == "push";
  const bool remote = words.front().text == "remote" && words.size() > 1 &&
                      (words[1].text == "set-url" ||
                       (words[1].text == "add" && words.size() > 2 && words[2].text == "origin"));
  if (!push && !remote) return nullptr;
  const auto found = std::find_if(words.begin(), words.end(), [](const Word& word) {
    return word.text.find("://") != std::string::npos;
  });
  return found == words.end() ? nullptr : &*found;
}

void check_push_url(const Subject& subject, Findings& findings, const ScriptItem& item,
                    const SimpleCommand& command) {
  const Word* word = push_target(command);
  if (word == nullptr) return;
  const auto address = find_address(item.text(), *word);
  if (!address) return;
  std::string_view path = address->path.of(item.text());
  if (path.find('$') != std::string_view::npos || path.find('`') != std::string_view::npos) return;
  if (path.find('/') == std::string_view::npos) return;
  const std::string_view host = address->host.of(item.text());
  // To another service it may be a mirror on purpose.
  const bool own =
      host.find('$') != std::string_view::npos || host.find("gitlab") != std::string_view::npos;
  Remark remark{"fixed-push-url", own ? Severity::error : Severity::warning,
                "this pushes to one fixed project, whatever project the job belongs to",
                "write `$CI_PROJECT_PATH` for the project's path"};
  if (path.ends_with(".git")) path.remove_suffix(4);
  const Span span{address->path.begin, address->path.begin + path.size()};
  // A push to a branch that is named may go elsewhere on purpose; to the job's own it may not.
  const bool names_a_branch =
      is_git(command, "push") &&
      command.span.of(item.text()).find("CI_WORKLOAD_REF") == std::string_view::npos &&
      &git_words(command).back() != word && git_words(command).back().text != "HEAD";
  if (own && !names_a_branch && word->span.of(item.text()).find('\'') == std::string_view::npos) {
    if (auto edit = subject.replace(item, span, "$CI_PROJECT_PATH")) remark.fix = {*edit};
  }
  findings.add(item, address->path.begin, std::move(remark));
}

/// The variable whose value is the password: the last one of `user:$NAME@`.
const Expansion* password_variable(const Word& word, const Address& address) {
  const Expansion* found = nullptr;
  for (const Expansion& expansion : word.expansions) {
    if (expansion.kind == Expansion::Kind::variable && address.user.holds(expansion.span.begin))
      found = &expansion;
  }
  return found;
}

/// Takes the token out of the address: git asks a helper for it, and only for this host.
std::vector<Edit> helper_fix(const Subject& subject, const ScriptItem& item,
                             const SimpleCommand& command, const Word& word, const Address& address,
                             const Expansion& password) {
  static constexpr std::array<std::string_view, 6> commands = {"push",  "remote", "clone",
                                                               "fetch", "pull",   "ls-remote"};
  const auto words = git_words(command);
  const std::string_view script = item.text();
  const std::string_view raw = word.span.of(script);
  if (words.empty() ||
      std::find(commands.begin(), commands.end(), words.front().text) == commands.end())
    return {};
  // Else `git config` before it would be part of a pipeline, a negation or a quoted text.
  if (command.negated || command.depth > 0 || command.before == "|" || command.after == "|" ||
      command.before == "||" || !command.assignments.empty())
    return {};
  if (raw.find('\'') != std::string_view::npos || raw.find("https://") == std::string_view::npos)
    return {};
  const std::string_view user = address.user.of(script);
  const std::string_view name = user.substr(0, user.find(':'));
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (!plain || password.span.begin != address.user.begin + name.size() + 1 ||
      password.span.end + 1 != address.user.end || !subject.exports(password.name))
    return {};
  const std::string setting =
      "\"credential.https://" + std::string(address.host.of(script)) + ".helper\"";
  const std::string helper = "'!f() { echo username=" + std::string(name) + "; echo \"password=$" +
                             password.name + "\"; }; f'";
  // For as long as the address would have held it: one command, or this repository.
  const bool remote = words.front().text == "remote";
  const auto git = program_words(command).front().span;
  const std::string inserted =
      remote ? "git config " + setting + " " + helper + " && "
             : " -c " + setting.substr(0, setting.size() - 1) + "\"=" + helper;
  const std::size_t at = remote ? command.span.begin : git.end;
  auto before = subject.replace(item, {at, at}, inserted);
  auto without = subject.replace(item, address.user, "");
  if (!before || !without) return {};
  return {std::move(*before), std::move(*without)};
}

void check_token(const Subject& subject, Findings& findings, const ScriptItem& item,
                 const SimpleCommand& command, const Word& word) {
  const auto address = find_address(item.text(), word);
  if (!address || address->user.begin == address->user.end) return;
  const std::string_view user = address->user.of(item.text());
  const Expansion* password = password_variable(word, *address);
  const bool has_password = user.find(':') != std::string_view::npos && !user.ends_with(":@");
  if (password == nullptr ? !has_password : !has_password && !is_secret_name(password->name))
    return;
  Remark remark{
      "token-in-url", Severity::error,
      "a token in an address is seen by every process of the job, is kept in .git/config, "
      "and comes back in error messages",
      "give it to git by a credential helper, or let flow-runner push: it needs no token "
      "in the script"};
  if (password != nullptr)
    remark.fix = helper_fix(subject, item, command, word, *address, *password);
  findings.add(item, address->user.begin, std::move(remark));
}

}  // namespace

void check_urls(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands) {
      check_push_url(subject, findings, item, command);
      const std::string name = program_name(command);
      if (name == "echo" || name == "printf") continue;
      for (const Word& word : command.assignments)
        check_token(subject, findings, item, command, word);
      for (const Word& word : command.words) check_token(subject, findings, item, command, word);
    }
  }
}

}  // namespace flow_runner::lint
