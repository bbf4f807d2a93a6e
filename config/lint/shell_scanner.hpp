// Scanner: reads a shell script in one pass; lists of commands in shell_script.cpp, words in
// shell_words.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/lint/shell_script.hpp"

namespace flow_runner::lint {

inline bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
inline bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_operator(char c) {
  return c == ';' || c == '|' || c == '&' || c == '(' || c == ')' || c == '<' || c == '>';
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), limit_(text.size()) {}

  ShellScript read();

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

  void fail(std::size_t at, std::string what);

  /// False when the nesting is too deep to follow.
  bool enter(std::size_t at);

  static bool in_brackets(const Frame& frame);
  void finish(Frame& frame, std::string_view after);
  void start(Frame& frame, std::size_t at);

  /// Reads until `closer` (`)` of a substitution, not taken) or the limit.
  void list(char closer);
  void skip_blanks();
  void control_operator(Frame& frame);
  void redirect(Frame& frame, std::size_t begin);
  void word(Frame& frame);

  /// The `(…)` of `NAME=(…)`, as part of the word.
  void array(Word& word);

  /// `brackets`: between `[[` and `]]` only blanks end a word.
  Word read_word(bool brackets);
  void escape(Word& word);
  void single_quoted(Word& word, std::size_t begin);

  /// `$'…'`
  void ansi_quoted(Word& word);
  void double_quoted(Word& word);

  /// One step within double quotes or a here-document.
  void quoted_character(Word& word, bool heredoc);
  void dollar(Word& word, bool quoted, bool heredoc);
  void add(Word& word, Expansion expansion);

  /// `$(…)`, `<(…)`.
  void substitution(Word& word, Expansion::Kind kind, bool quoted, bool heredoc);
  void backtick(Word& word, bool quoted, bool heredoc);

  /// `${…}`
  void brace(Word& word, bool quoted, bool heredoc);

  /// From `((` or `$((`, of `opener` bytes, behind the `))`.
  void arithmetic(std::size_t opener, Word* word);
  void read_heredocs();

  std::string_view text_;
  std::size_t limit_;
  std::size_t pos_ = 0;
  int depth_ = 0;
  std::size_t pipelines_ = 0;
  std::vector<PendingHeredoc> pending_;
  ShellScript script_;
};

}  // namespace flow_runner::lint
