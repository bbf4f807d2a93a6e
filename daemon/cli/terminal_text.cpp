#include "daemon/cli/terminal_text.hpp"

#include "config/quoted_path.hpp"

namespace flow_runner::cli {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";
constexpr std::size_t max_sequence = 64;

std::size_t expected_length(unsigned char lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// U+0080..U+009F steer some terminals as ESC does; the bidirectional controls and line separators
// reorder or break what is shown.
bool steers(std::string_view character) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 2 && at(0) == 0xC2) return at(1) < 0xA0;
  if (character.size() == 3 && at(0) == 0xE2 && at(1) == 0x80)
    return at(2) >= 0xA8 && at(2) <= 0xAE;
  if (character.size() == 3 && at(0) == 0xE2 && at(1) == 0x81)
    return at(2) >= 0xA6 && at(2) <= 0xA9;
  return false;
}

}  // namespace

void TerminalText::write(std::string_view bytes, std::string& out) {
  for (const char c : bytes) take(static_cast<unsigned char>(c), out);
}

void TerminalText::flush(std::string& out) {
  if (state_ == State::text && !pending_.empty()) out += replacement;
  pending_.clear();
  state_ = State::text;
}

void TerminalText::take(unsigned char c, std::string& out) {
  switch (state_) {
    case State::text:
      return take_text(c, out);
    case State::escape:
      pending_.clear();
      if (c == '[') {
        state_ = State::control_sequence;
      } else if (c == ']' || c == 'P' || c == '^' || c == '_' || c == 'X') {
        state_ = State::string;
      } else if (c < 0x20) {
        state_ = State::text;
        take_text(c, out);
      } else if (c >= 0x30) {
        state_ = State::text;
      }
      return;
    case State::control_sequence:
      return take_control_sequence(c, out);
    case State::string:
      // Ends at BEL or ESC \; a newline too, so that one byte cannot swallow the rest of a log.
      if (c == 0x1B) {
        state_ = State::string_escape;
      } else if (c == 0x07) {
        state_ = State::text;
      } else if (c == '\n') {
        state_ = State::text;
        out += '\n';
      }
      return;
    case State::string_escape:
      if (c == '\\') {
        state_ = State::text;
      } else {
        state_ = State::escape;
        take(c, out);
      }
      return;
  }
}

void TerminalText::take_text(unsigned char c, std::string& out) {
  if (!pending_.empty()) {
    if (c >= 0x80 && c <= 0xBF) {
      pending_ += static_cast<char>(c);
      if (pending_.size() < expected_length(static_cast<unsigned char>(pending_[0]))) return;
      if (is_utf8(pending_) && !steers(pending_))
        out += pending_;
      else
        out += replacement;
      pending_.clear();
      return;
    }
    out += replacement;
    pending_.clear();
  }
  if (c == 0x1B) {
    state_ = State::escape;
  } else if (expected_length(c) != 0) {
    pending_ += static_cast<char>(c);
  } else if (c >= 0x80 || c == 0x7F || (c < 0x20 && c != '\n' && c != '\t' && c != '\r')) {
    out += replacement;
  } else {
    out += static_cast<char>(c);
  }
}

void TerminalText::take_control_sequence(unsigned char c, std::string& out) {
  if (c < 0x20 || c >= 0x7F) {
    pending_.clear();
    state_ = State::text;
    take_text(c, out);
    return;
  }
  if (c < 0x40) {
    // Kept to one byte over the limit, which marks it as too long.
    if (pending_.size() <= max_sequence) pending_ += static_cast<char>(c);
    return;
  }
  const bool plain = pending_.find_first_not_of("0123456789;:") == std::string::npos;
  if (c == 'm' && plain && pending_.size() <= max_sequence && colours_ == TerminalColours::kept)
    out += "\x1B[" + pending_ + "m";
  pending_.clear();
  state_ = State::text;
}

std::string terminal_text(std::string_view bytes, TerminalColours colours) {
  std::string out;
  TerminalText filter(colours);
  filter.write(bytes, out);
  filter.flush(out);
  return out;
}

}  // namespace flow_runner::cli
