// test-operator.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "config/diagnostic.hpp"
#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"

namespace flow_runner::lint {
namespace {

using Words = std::vector<const Word*>;

bool is_unary(std::string_view word) {
  return word.size() == 2 && word[0] == '-' &&
         std::string_view("abcdefghknoprstuvwxzGLNOSR").find(word[1]) != std::string_view::npos;
}

bool is_binary(std::string_view word) {
  static constexpr std::array<std::string_view, 9> operators = {"-eq", "-ne", "-lt", "-le", "-gt",
                                                                "-ge", "-nt", "-ot", "-ef"};
  return std::find(operators.begin(), operators.end(), word) != operators.end();
}

/// Whether a word stands there as an operator; a quoted one is an operand.
bool looks_like_operator(const Word& word) {
  if (word.quoted || !word.is_literal() || word.text.size() < 2 || word.text[0] != '-')
    return false;
  const char c = word.text[1];
  return c == '-' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

struct LongName {
  std::string_view name;
  std::string_view means;
};

/// What people write when they think of an operator's meaning.
std::string_view meaning_of(std::string_view word) {
  static constexpr std::array<LongName, 20> names = {{
      {"--zero", "-z"},       {"--empty", "-z"},    {"--null", "-z"},      {"--nonzero", "-n"},
      {"--non-zero", "-n"},   {"--not-zero", "-n"}, {"--not-empty", "-n"}, {"--non-empty", "-n"},
      {"--nonempty", "-n"},   {"--file", "-f"},     {"--directory", "-d"}, {"--dir", "-d"},
      {"--exists", "-e"},     {"--exist", "-e"},    {"--readable", "-r"},  {"--writable", "-w"},
      {"--executable", "-x"}, {"--eq", "-eq"},      {"--ne", "-ne"},       {"--gt", "-gt"},
  }};
  const auto found = std::find_if(names.begin(), names.end(),
                                  [word](const LongName& entry) { return entry.name == word; });
  return found == names.end() ? std::string_view() : found->means;
}

/// The wrong operators of one expression between `-a`, `-o`, `&&`, `||` and parentheses.
Words wrong_operators(const Words& expression) {
  Words wrong;
  const std::size_t count = expression.size();
  if (count < 2) return wrong;
  const auto check = [&](const Word& word, bool known) {
    if (looks_like_operator(word) && !known) wrong.push_back(&word);
  };
  const Word& first = *expression[0];
  const Word& second = *expression[1];
  if (count == 2) {
    check(first, is_unary(first.text));
  } else if (count == 3 && looks_like_operator(second)) {
    // `[ --help = "$1" ]` compares, but this does not.
    check(first, is_unary(first.text) || !first.text.starts_with("--"));
    check(second, is_binary(second.text));
  } else if (count > 3) {
    for (std::size_t i = 0; i + 1 < count; ++i)
      check(*expression[i], !expression[i]->text.starts_with("--"));
  }
  return wrong;
}

void check_expression(const Subject& subject, Findings& findings, const ScriptItem& item,
                      const std::string& name, const Words& expression) {
  const Words wrong = wrong_operators(expression);
  if (wrong.empty()) return;
  std::string list;
  for (const Word* word : wrong) list += (list.empty() ? "" : " ") + word->text;
  Remark remark{"test-operator", Severity::error,
                "`" + name + "` has no operator " + shown(list) +
                    ": it is an error, which `if` takes for \"no\"",
                "write `-n` for \"not empty\", `-z` for \"empty\", `!` for \"not\""};
  const bool negated = wrong.front()->text == "--not" && wrong.size() == 2;
  std::string right(meaning_of(wrong.back()->text));
  if (negated && !right.empty()) right = right == "-z" ? "-n" : right == "-n" ? "-z" : "! " + right;
  const bool adjacent = !negated || expression[0] == wrong[0];
  if (!right.empty() && adjacent && (negated || wrong.size() == 1)) {
    remark.cure = "write `" + right + "`";
    const Span span{wrong.front()->span.begin, wrong.back()->span.end};
    if (auto edit = subject.replace(item, span, right)) remark.fix = {*edit};
  }
  findings.add(item, wrong.front()->span.begin, std::move(remark));
}

void check_command(const Subject& subject, Findings& findings, const ScriptItem& item,
                   const SimpleCommand& command) {
  if (command.words.empty() || command.words.front().quoted) return;
  const std::string& name = command.words.front().text;
  if (name != "[" && name != "test" && name != "[[") return;
  Words expression;
  const auto end_expression = [&] {
    check_expression(subject, findings, item, name, expression);
    expression.clear();
  };
  for (const Word& word : std::span<const Word>(command.words).subspan(1)) {
    const bool joins =
        !word.quoted && (word.text == "-a" || word.text == "-o" || word.text == "&&" ||
                         word.text == "||" || word.text == "(" || word.text == ")");
    const bool closes = !word.quoted && (word.text == "]" || word.text == "]]");
    if (joins || closes) {
      end_expression();
    } else if (word.quoted || word.text != "!" || !expression.empty()) {
      expression.push_back(&word);
    }
  }
  end_expression();
}

}  // namespace

void check_test_operators(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands)
      check_command(subject, findings, item, command);
  }
}

}  // namespace flow_runner::lint
