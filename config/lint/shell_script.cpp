#include "config/lint/shell_script.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "config/lint/shell_scanner.hpp"

namespace flow_runner::lint {
namespace {

bool is_reserved(std::string_view word) {
  static constexpr std::array<std::string_view, 14> words = {
      "!",  "{",     "}",     "if", "then", "elif", "else",
      "fi", "while", "until", "do", "done", "esac", "time"};
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// `NAME=`, `NAME+=` or `NAME[…]=` at the start of a word.
bool is_assignment(std::string_view raw) {
  std::size_t at = leading_name(raw).size();
  if (at == 0) return false;
  if (raw.substr(at).starts_with('[')) {
    const auto close = raw.find(']', at);
    if (close == std::string_view::npos) return false;
    at = close + 1;
  }
  if (raw.substr(at).starts_with('+')) ++at;
  return raw.substr(at).starts_with('=');
}

}  // namespace

ShellScript Scanner::read() {
  list('\0');
  std::stable_sort(script_.commands.begin(), script_.commands.end(),
                   [](const auto& a, const auto& b) { return a.span.begin < b.span.begin; });
  return std::move(script_);
}

void Scanner::list(char closer) {
  Frame frame;
  while (true) {
    skip_blanks();
    if (at_end()) return finish(frame, "");
    const char c = peek();
    if (c == '\n') {
      finish(frame, "\n");
      ++pos_;
      read_heredocs();
    } else if (c == '#') {
      while (!at_end() && peek() != '\n') ++pos_;
    } else if (in_brackets(frame) && c != ';') {
      word(frame);
    } else if (c == ')') {
      const bool own = frame.parentheses == 0 && frame.cases == 0;
      finish(frame, ")");
      if (closer == ')' && own) return;
      if (frame.parentheses > 0) --frame.parentheses;
      ++pos_;
    } else if (looking_at("((")) {
      start(frame, pos_);
      arithmetic(2, nullptr);
      frame.command.span.end = pos_;
    } else if (c == '(') {
      finish(frame, "(");
      ++frame.parentheses;
      ++pos_;
    } else if (looking_at("<(") || looking_at(">(")) {
      word(frame);
    } else if (c == '<' || c == '>' || looking_at("&>")) {
      redirect(frame, pos_);
    } else if (is_operator(c)) {
      control_operator(frame);
    } else {
      word(frame);
    }
  }
}

bool Scanner::in_brackets(const Frame& frame) {
  const auto& words = frame.command.words;
  return !words.empty() && !words.front().quoted && words.front().text == "[[" &&
         (words.size() == 1 || words.back().text != "]]");
}

void Scanner::finish(Frame& frame, std::string_view after) {
  SimpleCommand& command = frame.command;
  if (frame.started) {
    const bool piped = frame.before == "|" || frame.before == "|&";
    command.before = frame.before;
    command.after = after;
    command.depth = depth_;
    command.pipeline = piped ? frame.command.pipeline : ++pipelines_;
    const std::size_t pipeline = command.pipeline;
    script_.commands.push_back(std::move(command));
    command = {};
    command.pipeline = pipeline;
  }
  command.negated = false;
  frame.started = false;
  frame.before = after;
}

void Scanner::start(Frame& frame, std::size_t at) {
  if (!frame.started) frame.command.span = {at, at};
  frame.started = true;
}

void Scanner::skip_blanks() {
  while (!at_end()) {
    if (is_blank(peek())) {
      ++pos_;
    } else if (peek() == '\\' && peek(1) == '\n') {
      pos_ += 2;
    } else {
      return;
    }
  }
}

void Scanner::control_operator(Frame& frame) {
  static constexpr std::array<std::string_view, 9> operators = {";;&", ";;", ";&", "&&", "||",
                                                                "|&",  ";",  "|",  "&"};
  for (const std::string_view op : operators) {
    if (!looking_at(op)) continue;
    finish(frame, op);
    pos_ += op.size();
    return;
  }
  ++pos_;
}

void Scanner::redirect(Frame& frame, std::size_t begin) {
  static constexpr std::array<std::string_view, 12> operators = {
      "&>>", "<<<", "<<-", "&>", "<<", "<>", "<&", ">>", ">&", ">|", "<", ">"};
  start(frame, begin);
  Redirect redirect;
  const std::size_t operator_at = pos_;
  if (operator_at > begin) {
    redirect.descriptor = 0;
    for (const char digit : text_.substr(begin, operator_at - begin))
      redirect.descriptor = redirect.descriptor * 10 + (digit - '0');
  }
  for (const std::string_view op : operators) {
    if (!looking_at(op)) continue;
    redirect.op = op;
    pos_ += op.size();
    break;
  }
  skip_blanks();
  redirect.target = read_word(false);
  redirect.span = {begin, pos_};
  if (redirect.op == "<<" || redirect.op == "<<-") {
    pending_.push_back({redirect.target.text, !redirect.target.quoted, redirect.op == "<<-",
                        frame.command.span.begin, operator_at});
  }
  frame.command.span.end = pos_;
  frame.command.redirects.push_back(std::move(redirect));
}

void Scanner::word(Frame& frame) {
  const std::size_t begin = pos_;
  Word word = read_word(in_brackets(frame));
  if (pos_ == begin) {
    ++pos_;  // whatever this is, it must not be met again
    return;
  }
  const std::string_view raw = word.span.of(text_);
  if ((peek() == '<' || peek() == '>') && raw.size() <= 3 &&
      std::all_of(raw.begin(), raw.end(), is_digit)) {
    redirect(frame, begin);
    return;
  }
  SimpleCommand& command = frame.command;
  if (command.words.empty() && !word.quoted && word.is_literal()) {
    if (is_reserved(word.text)) {
      if (word.text == "!") command.negated = true;
      if (word.text == "esac" && frame.cases > 0) --frame.cases;
      script_.keywords.push_back({word.span, word.text, depth_});
      return;
    }
    if (word.text == "case") ++frame.cases;
  }
  start(frame, begin);
  if (command.words.empty() && is_assignment(raw)) {
    if (peek() == '(' && raw.ends_with('=')) array(word);
    command.assignments.push_back(std::move(word));
  } else {
    command.words.push_back(std::move(word));
  }
  command.span.end = pos_;
}

void Scanner::array(Word& word) {
  ++pos_;
  while (!at_end() && peek() != ')') {
    const std::size_t before = pos_;
    if (peek() == '#' && is_blank(text_[pos_ - 1])) {
      while (!at_end() && peek() != '\n') ++pos_;
    } else {
      Word item = read_word(false);
      std::move(item.expansions.begin(), item.expansions.end(),
                std::back_inserter(word.expansions));
    }
    if (pos_ == before) ++pos_;
  }
  if (!at_end()) ++pos_;
  word.span.end = pos_;
}

void Scanner::read_heredocs() {
  for (PendingHeredoc& heredoc : std::exchange(pending_, {})) {
    const std::size_t begin = pos_;
    std::size_t end = std::string_view::npos;
    while (!at_end() && end == std::string_view::npos) {
      const std::size_t line = pos_;
      const std::size_t stop = std::min(text_.find('\n', line), limit_);
      pos_ = std::min(stop + 1, limit_);
      std::string_view content = text_.substr(line, stop - line);
      if (heredoc.strips_tabs)
        content.remove_prefix(std::min(content.find_first_not_of('\t'), content.size()));
      if (content == heredoc.delimiter) end = line;
    }
    if (end == std::string_view::npos) {
      return fail(heredoc.operator_at, "this here-document's last line is missing");
    }
    Word body;
    if (heredoc.expands) {
      const std::size_t outer_limit = std::exchange(limit_, end);
      const std::size_t behind = std::exchange(pos_, begin);
      while (!at_end()) quoted_character(body, true);
      limit_ = outer_limit;
      pos_ = script_.problem ? limit_ : behind;
    }
    script_.heredocs.push_back({heredoc.command, {begin, end}, std::move(body.expansions)});
  }
}

bool Expansion::has_default() const {
  std::string_view op = operation;
  if (op.starts_with(':')) op.remove_prefix(1);
  return !op.empty() && (op[0] == '-' || op[0] == '=' || op[0] == '+' || op[0] == '?');
}

std::string_view leading_name(std::string_view text) {
  if (text.empty() || !is_letter(text.front())) return {};
  const auto end =
      std::find_if(text.begin(), text.end(), [](char c) { return !is_letter(c) && !is_digit(c); });
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

ShellScript read_shell(std::string_view text) { return Scanner(text).read(); }

}  // namespace flow_runner::lint
