#include "config/lint/shell_script.hpp"

#include <doctest/doctest.h>
#include <string>
#include <vector>

#include "tests/config/lint/lint_fixture.hpp"

using namespace flow_runner::lint;

namespace {

/// Each command as its words, joined by `|` within and kept apart by their operators.
std::vector<std::string> commands_of(std::string_view script) {
  std::vector<std::string> all;
  for (const SimpleCommand& command : read_shell(script).commands) {
    std::string text;
    for (const Word& word : command.assignments) text += "{" + word.text + "}";
    for (const Word& word : command.words) text += (text.empty() ? "" : "|") + word.text;
    for (const Redirect& redirect : command.redirects)
      text += " " + redirect.op + redirect.target.text;
    all.push_back(text);
  }
  return all;
}

std::vector<std::string> names_in(std::string_view script) {
  std::vector<std::string> names;
  for (const Expansion& expansion : read_shell(script).expansions) {
    if (expansion.kind == Expansion::Kind::variable) names.push_back(expansion.name);
  }
  return names;
}

std::string problem_of(std::string_view script) {
  const auto problem = read_shell(script).problem;
  return problem ? std::to_string(problem->offset) + " " + problem->what : "";
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("shell script: words are split as a shell splits them") {
  CHECK(commands_of("a b 'c d' \"e f\"") == Texts{"a|b|c d|e f"});
  CHECK(commands_of("a\\ b c\\\nd") == Texts{"a b|cd"});
  CHECK(commands_of("a \\\n  b") == Texts{"a|b"});
  CHECK(commands_of("a; b && c || d | e & f\ng") == Texts{"a", "b", "c", "d", "e", "f", "g"});
  CHECK(commands_of("a # b; c 'd\ne#f") == Texts{"a", "e#f"});
  CHECK(commands_of("A=1 B=\"2 3\" c d=e") == Texts{"{A=1}{B=2 3}|c|d=e"});
  CHECK(commands_of("a=(one 'two three') b") == Texts{"{a=}|b"});
  CHECK(commands_of("if ! a; then b; else c; fi") == Texts{"a", "b", "c"});
  CHECK(commands_of("for x in 1 2; do echo if; done") == Texts{"for|x|in|1|2", "echo|if"});
  CHECK(commands_of("f() { a; }; (b; c)") == Texts{"f", "a", "b", "c"});
  CHECK(commands_of("case $x in a|b) c;; *) d;; esac; e") ==
        Texts{"case|$x|in|a", "b", "c", "*", "d", "e"});
  CHECK(commands_of("[[ $a == (x|y) && -n b ]] && c") == Texts{"[[|$a|==|(x|y)|&&|-n|b|]]", "c"});
  CHECK(commands_of("$'it\\'s' $\"x\"") == Texts{"it\\'s|x"});
}

TEST_CASE("shell script: redirects are not words") {
  CHECK(commands_of("a >b 2>&1 <c >>\"d e\" 2>/dev/null f") ==
        Texts{"a|f >b >&1 <c >>d e >/dev/null"});
  CHECK(commands_of("a 2 > b") == Texts{"a|2 >b"});
  CHECK(commands_of("a &> b; c <<< d") == Texts{"a &>b", "c <<<d"});
  const auto script = read_shell("a 2> b > c");
  CHECK(script.commands.front().redirects[0].descriptor == 2);
  CHECK(script.commands.front().redirects[1].descriptor == 1);
}

TEST_CASE("shell script: substitutions hold commands of their own") {
  CHECK(commands_of("a $(b \"$(c)\" ')') d") == Texts{"a|$(b \"$(c)\" ')')|d", "b|$(c)|)", "c"});
  CHECK(commands_of("a `b 'c'` <(d)") == Texts{"a|`b 'c'`|<(d)", "b|c", "d"});
  CHECK(commands_of("a \"${x:-$(b)}\"") == Texts{"a|${x:-$(b)}", "b"});
  CHECK(commands_of("a $((1 + (2 * $x))) b") == Texts{"a|$((1 + (2 * $x)))|b"});
  CHECK(commands_of("x=$(case $y in a) b;; esac) c") ==
        Texts{"{x=$(case $y in a) b;; esac)}|c", "case|$y|in|a", "b"});
}

TEST_CASE("shell script: variables are found where they are expanded, and nowhere else") {
  CHECK(names_in("a $b \"$c ${d%x}\" '$e' \\$f \"\\$g\" $1 $? $$") == Texts{"b", "c", "d"});
  CHECK(names_in("a # $b") == Texts{});
  CHECK(names_in("a $((x + $y)) ${#z} ${!w}") == Texts{"y", "z", "w"});
  CHECK(names_in("a <<X\n$b \\$c `d $e`\nX\nf $g") == Texts{"b", "e", "g"});
  CHECK(names_in("a <<'X'\n$b\nX\nf $g") == Texts{"g"});
  CHECK(names_in("a <<-X <<Y\n$b\n\tX\n$c\nY\n") == Texts{"b", "c"});
  const auto script = read_shell("${a:-1} ${b-} ${c:+1} ${d%%x} ${e} ${f:?no}");
  std::string with_default;
  for (const auto& expansion : script.expansions)
    if (expansion.has_default()) with_default += expansion.name;
  CHECK(with_default == "abcf");
}

TEST_CASE("shell script: commands of one pipeline share its number") {
  const auto script = read_shell("a | b; c | d |& e && f");
  const auto& all = script.commands;
  REQUIRE(all.size() == 6);
  CHECK(all[0].pipeline == all[1].pipeline);
  CHECK(all[1].pipeline != all[2].pipeline);
  CHECK(all[2].pipeline == all[4].pipeline);
  CHECK(all[4].pipeline != all[5].pipeline);
  CHECK(all[1].before == "|");
  CHECK(all[3].after == "|&");
}

TEST_CASE("shell script: what is never closed is said, with its place") {
  CHECK(problem_of("a 'b") == "2 this single quote is never closed");
  CHECK(problem_of("a \"b\\\"") == "2 this double quote is never closed");
  CHECK(problem_of("a $(b") == "2 this substitution is never closed");
  CHECK(problem_of("a `b") == "2 this backtick is never closed");
  CHECK(problem_of("a ${b") == "2 this ${ is never closed");
  CHECK(problem_of("a <<X\nb") == "2 this here-document's last line is missing");
  CHECK(problem_of("a # don't") == "");
  CHECK(problem_of("a \"it's\" 'say \"'") == "");
  CHECK(problem_of("a <<X\nit's \"\nX") == "");
}

TEST_CASE("shell script: garbage and deep nesting end") {
  for (const char* piece : {"$(", "${a:-", "\"$(", "`", "((", "<(", "[[ ", "<<", "a=(", "case ",
                            ")", "}", "\\", "'", "$((", "\"${a:-", "&", "<"}) {
    CAPTURE(piece);
    std::string script;
    for (int i = 0; i < 5000; ++i) script += piece;
    const auto read = read_shell(script);
    CHECK(read.commands.size() <= script.size() + 1);
  }
  CHECK(read_shell("").commands.empty());
}
