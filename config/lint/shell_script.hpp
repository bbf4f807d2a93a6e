// Shell script: the simple commands, words and expansions of a piece of shell, as far as a linter
// needs them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flow_runner::lint {

/// Bytes [begin, end) of the script.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;

  [[nodiscard]] std::string_view of(std::string_view text) const {
    return text.substr(begin, end - begin);
  }
  [[nodiscard]] bool holds(std::size_t offset) const { return begin <= offset && offset < end; }
};

/// One `$…`, backtick or `<(…)`. Parameters such as `$1` and `$?` are none.
struct Expansion {
  enum class Kind : std::uint8_t { variable, command, backtick, arithmetic, process };

  Kind kind = Kind::variable;
  Span span;
  std::string name;       ///< a variable's
  std::string operation;  ///< what follows the name within braces, its first two bytes: `:-`, `%%`
  bool quoted = false;    ///< in double quotes or a here-document
  bool heredoc = false;

  /// Whether a missing value was thought of: `${X:-…}`, `${X+…}`, `${X:?…}`.
  [[nodiscard]] bool has_default() const;
};

struct Word {
  Span span;
  std::string text;  ///< without quotes and escapes; expansions as written
  bool quoted = false;
  std::vector<Expansion> expansions;  ///< its own, not those inside them

  [[nodiscard]] bool is_literal() const { return expansions.empty(); }
};

struct Redirect {
  Span span;
  std::string op;      ///< `>`, `>>`, `<`, `<<`, `<<<`, `>&`, …
  int descriptor = 1;  ///< the one written before the operator, else 1 (also for `<`)
  Word target;         ///< a here-document's delimiter
};

struct HereDocument {
  std::size_t command = 0;  ///< Span::begin of the command that reads it
  Span body;
  std::vector<Expansion> expansions;  ///< none when its delimiter is quoted
};

/// A command with its arguments. Reserved words before it (`if`, `!`, `{`) are not part of it;
/// `for`, `case` and `[[` count as names of commands.
struct SimpleCommand {
  Span span;
  std::vector<Word> assignments;
  std::vector<Word> words;
  std::vector<Redirect> redirects;
  std::string before;  ///< the operator before it; empty at a beginning
  std::string after;   ///< the operator behind it; empty at an end
  bool negated = false;
  int depth = 0;             ///< how many substitutions are around it
  std::size_t pipeline = 0;  ///< the same for all commands of one pipeline
};

struct Keyword {
  Span span;
  std::string text;
  int depth = 0;
};

struct ShellScript {
  std::vector<SimpleCommand> commands;  ///< in the order of their beginnings
  std::vector<Expansion> expansions;    ///< all of them, however deep
  std::vector<HereDocument> heredocs;
  std::vector<Keyword> keywords;
  struct Problem {
    std::size_t offset = 0;
    std::string what;  ///< such as "this quote is never closed"
  };
  std::optional<Problem> problem;  ///< the first one; what follows it was not read
};

/// Reads any bytes; time is linear in their number times the depth of nesting, which is bounded.
ShellScript read_shell(std::string_view text);

/// A name at the start of `text`: letters, digits and `_`, no digit first.
std::string_view leading_name(std::string_view text);

}  // namespace flow_runner::lint
