#include "daemon/cli/terminal.hpp"

#include <doctest/doctest.h>

using namespace flow_runner::cli;
using namespace std::chrono_literals;

namespace {

// A terminal whose time the test moves.
struct Fixture {
  explicit Fixture(TerminalStyle style) : terminal(style, [this] { return now; }) {}
  std::chrono::steady_clock::time_point now{1h};
  Terminal terminal;
};

std::string kept(std::string_view bytes) { return terminal_text(bytes, TerminalColours::kept); }

}  // namespace

TEST_CASE("terminal text: colours pass and every other sequence does not") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"plain\ttext\r\n", "plain\ttext\r\n"},
      {"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"},
      {"\x1b[38;5;1mx", "\x1b[38;5;1mx"},
      {"a\x1b[2Jb", "ab"},
      {"a\x1b[1;1Hb", "ab"},
      {"a\x1b[?25lb", "ab"},
      {"a\x1b[>4;2mb", "ab"},
      {"a\x1b]0;title\x07"
       "b",
       "ab"},
      {"a\x1b]52;c;ZXZpbA==\x1b\\b", "ab"},
      {"a\x1bP1$q\x1b\\b", "ab"},
      {"a\x1b]0;never ended\nb", "a\nb"},
      {"a\x1b(0b", "ab"},
      {"a\x1b"
       "cb",
       "ab"},
      {"a\x08\x07\x7f", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xc2\x9b"
       "31m",
       "\xEF\xBF\xBD"
       "31m"},
      {"\x9b"
       "31m",
       "\xEF\xBF\xBD"
       "31m"},
      {"\xe2\x80\xae"
       "txt",
       "\xEF\xBF\xBD"
       "txt"},
      {"gr\xc3\xbc\xc3\x9f \xe2\x9c\x93 \xf0\x9f\x98\x80",
       "gr\xc3\xbc\xc3\x9f \xe2\x9c\x93 \xf0\x9f\x98\x80"},
      {"cut \xe2\x9c", "cut \xEF\xBF\xBD"},
      {"\x1b[" + std::string(1000, '1') + "mx", "x"},
      {"\x1b[31", ""},
  };
  for (const auto& [input, expected] : table) {
    CAPTURE(input);
    CHECK(kept(input) == expected);
  }
  CHECK(terminal_text("\x1b[31mred\x1b[0m", TerminalColours::removed) == "red");
}

TEST_CASE("terminal text: the output does not depend on the split, and never holds an escape") {
  std::string input;
  std::uint32_t state = 12345;
  const std::string_view alphabet =
      "\x1b\x1b[];:m0J\x07\\\n\xc2\x9b\xe2\x80\xae"
      "aP_";
  for (int i = 0; i < 4000; ++i) {
    state = state * 1664525 + 1013904223;
    input += alphabet[(state >> 16) % alphabet.size()];
  }
  const std::string whole = terminal_text(input, TerminalColours::removed);
  CHECK(whole.find('\x1b') == std::string::npos);
  CHECK(whole.find("\xc2\x9b") == std::string::npos);
  for (const std::size_t step : {1, 2, 3, 7, 64}) {
    TerminalText filter(TerminalColours::removed);
    std::string out;
    for (std::size_t i = 0; i < input.size(); i += step)
      filter.write(std::string_view(input).substr(i, step), out);
    filter.flush(out);
    CHECK(out == whole);
  }
}

TEST_CASE("terminal: progress bars") {
  CHECK(progress_bar(0, 10, 10) == "[..........]");
  CHECK(progress_bar(5, 10, 10) == "[#####.....]");
  CHECK(progress_bar(10, 10, 10) == "[##########]");
  CHECK(progress_bar(20, 10, 10) == "[##########]");
  CHECK(progress_bar(1, 0, 4) == "[....]");
}

TEST_CASE("terminal: elsewhere than on a terminal, a phase is one plain line at its end") {
  Fixture f({.live = false, .colours = false, .width = 80});
  CHECK(f.terminal.begin_phase("image") == "");
  f.now += 1500ms;
  CHECK(f.terminal.begin_phase("script") == "== image      1.5s\n");
  CHECK(f.terminal.output("raw \x1b[2J bytes") == "raw \x1b[2J bytes");
  CHECK(f.terminal.line("ours") == "\nours\n");
  CHECK(f.terminal.tick() == "");
  f.now += 500ms;
  CHECK(f.terminal.end_phase(PhaseEnd::bad) == "!! script     500ms\n");
  CHECK(f.terminal.end_phase(PhaseEnd::good) == "");
}

TEST_CASE("terminal: elsewhere, progress is a line every ten seconds") {
  Fixture f({.live = false, .colours = false, .width = 80});
  f.terminal.begin_phase("image");
  CHECK(f.terminal.progress({"pulling", 1, 4}) == "");
  f.now += 11s;
  CHECK(f.terminal.progress({"pulling", 2, 4}) == "image: pulling 50 %\n");
  CHECK(f.terminal.progress({"pulling", 3, 4}) == "");
}

TEST_CASE("terminal: on a terminal the status line is below everything else") {
  Fixture f({.live = true, .colours = false, .width = 60});
  CHECK(f.terminal.begin_phase("image") == "\r\x1b[K  image      0ms");
  f.now += 200ms;
  CHECK(f.terminal.progress({"layer", 1, 2}) ==
        "\r\x1b[K  image      200ms [##########..........] layer");
  CHECK(f.terminal.progress({"layer", 2, 2}) == "");
  CHECK(f.terminal.output("flood\n") == "\r\x1b[Kflood\n");
  f.now += 200ms;
  CHECK(f.terminal.output("hello\n").starts_with("hello\n\r\x1b[K  image"));
  // In the middle of a line of the job's there is no place for it.
  CHECK(f.terminal.output("half") == "\r\x1b[Khalf");
  f.now += 2s;
  CHECK(f.terminal.tick() == "");
  CHECK(f.terminal.output(" line\n").starts_with(" line\n\r\x1b[K"));
  CHECK(f.terminal.end_phase(PhaseEnd::good) == "\r\x1b[K✓ image      2.4s\n");
}

TEST_CASE("terminal: a status line never wraps") {
  Fixture f({.live = true, .colours = false, .width = 30});
  f.terminal.begin_phase("image");
  f.now += 1s;
  const std::string shown = f.terminal.progress({std::string(200, 'x') + "\x1b[2J\n", 0, 0});
  CHECK(shown.size() == std::string("\r\x1b[K").size() + 29);
}

TEST_CASE("terminal: colours only where they are wanted, and the job's own do not last") {
  Fixture f({.live = true, .colours = true, .width = 80});
  f.terminal.begin_phase("script");
  CHECK(f.terminal.output("\x1b[31mred").find("\x1b[31mred") != std::string::npos);
  CHECK(f.terminal.end_phase(PhaseEnd::good).starts_with("\n\x1b[0m\x1b[32m✓\x1b[0m"));
  Fixture plain({.live = true, .colours = false, .width = 80});
  CHECK(plain.terminal.output("\x1b[31mred\n") == "red\n");
}
