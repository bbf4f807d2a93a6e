#include <algorithm>
#include <string>
#include <utility>

#include "config/lint/shell_scanner.hpp"

namespace flow_runner::lint {
namespace {

constexpr int max_depth = 24;

}  // namespace

void Scanner::fail(std::size_t at, std::string what) {
  if (!script_.problem) script_.problem = ShellScript::Problem{at, std::move(what)};
  pos_ = limit_;
}

bool Scanner::enter(std::size_t at) {
  if (depth_ >= max_depth) {
    fail(at, "this is nested too deeply to be read");
    return false;
  }
  ++depth_;
  return true;
}

Word Scanner::read_word(bool brackets) {
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

void Scanner::escape(Word& word) {
  if (peek(1) == '\n') {
    pos_ += 2;
    return;
  }
  word.quoted = true;
  if (pos_ + 1 < limit_) word.text += text_[pos_ + 1];
  pos_ = std::min(pos_ + 2, limit_);
}

void Scanner::single_quoted(Word& word, std::size_t begin) {
  const std::size_t close = text_.find('\'', begin);
  if (close == std::string_view::npos || close >= limit_) {
    return fail(pos_, "this single quote is never closed");
  }
  word.quoted = true;
  word.text += text_.substr(begin, close - begin);
  pos_ = close + 1;
}

void Scanner::ansi_quoted(Word& word) {
  const std::size_t begin = pos_;
  word.quoted = true;
  for (pos_ += 2; !at_end() && peek() != '\''; ++pos_) {
    if (peek() == '\\' && pos_ + 1 < limit_) word.text += text_[pos_++];
    word.text += peek();
  }
  if (at_end()) return fail(begin, "this single quote is never closed");
  ++pos_;
}

void Scanner::double_quoted(Word& word) {
  const std::size_t begin = pos_++;
  word.quoted = true;
  while (!at_end() && peek() != '"') quoted_character(word, false);
  if (at_end()) return fail(begin, "this double quote is never closed");
  ++pos_;
}

void Scanner::quoted_character(Word& word, bool heredoc) {
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

void Scanner::dollar(Word& word, bool quoted, bool heredoc) {
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

void Scanner::add(Word& word, Expansion expansion) {
  expansion.span.end = pos_;
  word.text += expansion.span.of(text_);
  script_.expansions.push_back(expansion);
  word.expansions.push_back(std::move(expansion));
}

void Scanner::substitution(Word& word, Expansion::Kind kind, bool quoted, bool heredoc) {
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

void Scanner::backtick(Word& word, bool quoted, bool heredoc) {
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

void Scanner::brace(Word& word, bool quoted, bool heredoc) {
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

void Scanner::arithmetic(std::size_t opener, Word* word) {
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

}  // namespace flow_runner::lint
