#include "config/lint/shell_script.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace flow_runner::lint {
namespace {

constexpr int max_depth = 24;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_operator(char c) {
  return c == ';' || c == '|' || c == '&' || c == '(' || c == ')' || c == '<' || c == '>';
}

bool is_reserved(std::string_view word) {
  static constexpr std::array<std::string_view, 14> words = {
      "!", "{", "}", "if", "then", "elif", "else", "fi", "while", "until", "do", "done", "esac",
      "time"};
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

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), limit_(text.size()) {}

  ShellScript read() {
    list('\0');
    std::stable_sort(
        script_.commands.begin(), script_.commands.end(),
        [](const auto& a, const auto& b) { return a.span.begin < b.span.begin; });
    return std::move(script_);
  }

 private:
  /// One list of commands: the script, or what a substitution holds.
  struct Frame {
    SimpleCommand command;
    bool started = false;
    std::string before;
    int cases = 0;
    int parentheses = 0;
  };
  struct PendingHeredoc {
    std::string delimiter;
    bool expands = true;
    bool strips_tabs = false;
    std::size_t command = 0;
    std::size_t operator_at = 0;
  };

  [[nodiscard]] bool at_end() const { return pos_ >= limit_; }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return pos_ + ahead < limit_ ? text_[pos_ + ahead] : '\0';
  }
  [[nodiscard]] bool looking_at(std::string_view word) const {
    return text_.substr(pos_, limit_ - pos_).starts_with(word);
  }

  void fail(std::size_t at, std::string what) {
    if (!script_.problem) script_.problem = ShellScript::Problem{at, std::move(what)};
    pos_ = limit_;
  }

  /// False when the nesting is too deep to follow.
  bool enter(std::size_t at) {
    if (depth_ >= max_depth) {
      fail(at, "this is nested too deeply to be read");
      return false;
    }
    ++depth_;
    return true;
  }

  static bool in_brackets(const Frame& frame) {
    const auto& words = frame.command.words;
    return !words.empty() && !words.front().quoted && words.front().text == "[[" &&
           (words.size() == 1 || words.back().text != "]]");
  }

  void finish(Frame& frame, std::string_view after) {
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

  void start(Frame& frame, std::size_t at) {
    if (!frame.started) frame.command.span = {at, at};
    frame.started = true;
  }

  /// Reads until `closer` (`)` of a substitution, not taken) or the limit.
  void list(char closer) {
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

  void skip_blanks() {
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

  void control_operator(Frame& frame) {
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

  void redirect(Frame& frame, std::size_t begin) {
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

  void word(Frame& frame) {
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

  /// The `(…)` of `NAME=(…)`, as part of the word.
  void array(Word& word) {
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

  /// `brackets`: between `[[` and `]]` only blanks end a word.
  Word read_word(bool brackets) {
    Word word;
    word.span.begin = pos_;
    while (!at_end()) {
      const char c = peek();
      if (is_blank(c) || c == '\n') break;
      if (c == '\\') {
        escape(word);
      } else if (c == '\'') {
        single_quoted(word, pos_ + 1);
      } else if (c == '"') {
        double_quoted(word);
      } else if (c == '`') {
        backtick(word, false, false);
      } else if (c == '$') {
        dollar(word, false, false);
      } else if ((looking_at("<(") || looking_at(">(")) && !brackets) {
        substitution(word, Expansion::Kind::process, false, false);
      } else if (is_operator(c) && (!brackets || c == ';')) {
        break;
      } else {
        word.text += c;
        ++pos_;
      }
    }
    word.span.end = pos_;
    return word;
  }

  void escape(Word& word) {
    if (peek(1) == '\n') {
      pos_ += 2;
      return;
    }
    word.quoted = true;
    if (pos_ + 1 < limit_) word.text += text_[pos_ + 1];
    pos_ = std::min(pos_ + 2, limit_);
  }

  void single_quoted(Word& word, std::size_t begin) {
    const std::size_t close = text_.find('\'', begin);
    if (close == std::string_view::npos || close >= limit_) {
      return fail(pos_, "this single quote is never closed");
    }
    word.quoted = true;
    word.text += text_.substr(begin, close - begin);
    pos_ = close + 1;
  }

  /// `$'…'`
  void ansi_quoted(Word& word) {
    const std::size_t begin = pos_;
    word.quoted = true;
    for (pos_ += 2; !at_end() && peek() != '\''; ++pos_) {
      if (peek() == '\\' && pos_ + 1 < limit_) word.text += text_[pos_++];
      word.text += peek();
    }
    if (at_end()) return fail(begin, "this single quote is never closed");
    ++pos_;
  }

  void double_quoted(Word& word) {
    const std::size_t begin = pos_++;
    word.quoted = true;
    while (!at_end() && peek() != '"') quoted_character(word, false);
    if (at_end()) return fail(begin, "this double quote is never closed");
    ++pos_;
  }

  /// One step within double quotes or a here-document.
  void quoted_character(Word& word, bool heredoc) {
    const char c = peek();
    if (c == '\\' && pos_ + 1 < limit_) {
      const char next = peek(1);
      const bool special = next == '$' || next == '`' || next == '\\' || next == '"';
      if (!special && next != '\n') word.text += c;
      if (next != '\n') word.text += next;
      pos_ += 2;
    } else if (c == '$') {
      dollar(word, true, heredoc);
    } else if (c == '`') {
      backtick(word, true, heredoc);
    } else {
      word.text += c;
      ++pos_;
    }
  }

  void dollar(Word& word, bool quoted, bool heredoc) {
    const char next = peek(1);
    if (next == '(') {
      if (peek(2) == '(') {
        Expansion expansion{Expansion::Kind::arithmetic, {pos_, pos_}, {}, {}, quoted, heredoc};
        arithmetic(3, &word);
        add(word, std::move(expansion));
      } else {
        substitution(word, Expansion::Kind::command, quoted, heredoc);
      }
    } else if (next == '{') {
      brace(word, quoted, heredoc);
    } else if (next == '\'' && !quoted) {
      ansi_quoted(word);
    } else if (next == '"' && !quoted) {
      ++pos_;
    } else if (is_letter(next)) {
      Expansion expansion{Expansion::Kind::variable, {pos_, pos_}, {}, {}, quoted, heredoc};
      expansion.name = leading_name(text_.substr(pos_ + 1, limit_ - pos_ - 1));
      pos_ += 1 + expansion.name.size();
      add(word, std::move(expansion));
    } else {
      word.text += '$';
      ++pos_;
    }
  }

  void add(Word& word, Expansion expansion) {
    expansion.span.end = pos_;
    word.text += expansion.span.of(text_);
    script_.expansions.push_back(expansion);
    word.expansions.push_back(std::move(expansion));
  }

  /// `$(…)`, `<(…)`.
  void substitution(Word& word, Expansion::Kind kind, bool quoted, bool heredoc) {
    const std::size_t begin = pos_;
    if (!enter(begin)) return;
    Expansion expansion{kind, {begin, begin}, {}, {}, quoted, heredoc};
    pos_ += 2;
    list(')');
    --depth_;
    if (at_end()) {
      fail(begin, "this substitution is never closed");
    } else {
      ++pos_;
    }
    add(word, std::move(expansion));
  }

  void backtick(Word& word, bool quoted, bool heredoc) {
    const std::size_t begin = pos_;
    std::size_t close = begin + 1;
    while (close < limit_ && text_[close] != '`') close += text_[close] == '\\' ? 2 : 1;
    if (close >= limit_) return fail(begin, "this backtick is never closed");
    if (!enter(begin)) return;
    Expansion expansion{Expansion::Kind::backtick, {begin, begin}, {}, {}, quoted, heredoc};
    const std::size_t outer_limit = std::exchange(limit_, close);
    pos_ = begin + 1;
    list('\0');
    limit_ = outer_limit;
    --depth_;
    pos_ = script_.problem ? limit_ : close + 1;
    add(word, std::move(expansion));
  }

  /// `${…}`
  void brace(Word& word, bool quoted, bool heredoc) {
    const std::size_t begin = pos_;
    if (!enter(begin)) return;
    Expansion expansion{Expansion::Kind::variable, {begin, begin}, {}, {}, quoted, heredoc};
    pos_ += 2;
    if ((peek() == '#' || peek() == '!') && is_letter(peek(1))) ++pos_;
    expansion.name = leading_name(text_.substr(pos_, limit_ - pos_));
    pos_ += expansion.name.size();
    expansion.operation = text_.substr(pos_, std::min<std::size_t>(2, limit_ - pos_));
    if (expansion.operation.starts_with('}')) expansion.operation.clear();
    Word inner;
    while (!at_end() && peek() != '}') {
      if (peek() == '\'' && !quoted) {
        single_quoted(inner, pos_ + 1);
      } else if (peek() == '"') {
        double_quoted(inner);
      } else {
        quoted_character(inner, heredoc);
      }
    }
    --depth_;
    if (at_end()) {
      fail(begin, "this ${ is never closed");
    } else {
      ++pos_;
    }
    if (expansion.name.empty()) {
      word.text += text_.substr(begin, pos_ - begin);
    } else {
      add(word, std::move(expansion));
    }
  }

  /// From `((` or `$((`, of `opener` bytes, behind the `))`.
  void arithmetic(std::size_t opener, Word* word) {
    const std::size_t begin = pos_;
    if (!enter(begin)) return;
    Word inner;
    pos_ += opener;
    int parentheses = 0;
    while (!at_end()) {
      const char c = peek();
      if (c == ')' && parentheses == 0) break;
      if (c == '(') ++parentheses;
      if (c == ')') --parentheses;
      if (c == '\'' && !script_.problem) {
        single_quoted(inner, pos_ + 1);
      } else if (c == '"') {
        double_quoted(inner);
      } else {
        quoted_character(inner, word != nullptr);
      }
    }
    --depth_;
    if (at_end()) return fail(begin, "this (( is never closed");
    pos_ += peek(1) == ')' ? 2 : 1;
  }

  void read_heredocs() {
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

  std::string_view text_;
  std::size_t limit_;
  std::size_t pos_ = 0;
  int depth_ = 0;
  std::size_t pipelines_ = 0;
  std::vector<PendingHeredoc> pending_;
  ShellScript script_;
};

}  // namespace

bool Expansion::has_default() const {
  std::string_view op = operation;
  if (op.starts_with(':')) op.remove_prefix(1);
  return !op.empty() && (op[0] == '-' || op[0] == '=' || op[0] == '+' || op[0] == '?');
}

std::string_view leading_name(std::string_view text) {
  if (text.empty() || !is_letter(text.front())) return {};
  const auto end = std::find_if(text.begin(), text.end(),
                                [](char c) { return !is_letter(c) && !is_digit(c); });
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

ShellScript read_shell(std::string_view text) { return Scanner(text).read(); }

}  // namespace flow_runner::lint
