// TerminalText: makes bytes that a job wrote harmless for the terminal that shows them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flow_runner::cli {

/// What may pass besides text: colours, or nothing at all.
enum class TerminalColours { kept, removed };

/// A stream filter. Text, newlines, tabs and carriage returns pass; of the escape sequences only
/// colours (SGR, ECMA-48 8.3.117) do: all others could set the title, the clipboard or the
/// keyboard, or hide lines. What else is a control character, or not UTF-8, becomes U+FFFD. An
/// escape sequence longer than 64 bytes is dropped. The output does not depend on how the input is
/// split.
class TerminalText {
 public:
  explicit TerminalText(TerminalColours colours) : colours_(colours) {}

  void write(std::string_view bytes, std::string& out);
  /// The end: an unfinished sequence is dropped, an unfinished character replaced.
  void flush(std::string& out);

 private:
  enum class State { text, escape, control_sequence, string, string_escape };

  void take(unsigned char c, std::string& out);
  void take_text(unsigned char c, std::string& out);
  void take_control_sequence(unsigned char c, std::string& out);

  TerminalColours colours_;
  State state_ = State::text;
  std::string pending_;  ///< of an escape sequence or a UTF-8 character
};

/// A whole text at once.
std::string terminal_text(std::string_view bytes, TerminalColours colours);

}  // namespace flow_runner::cli
