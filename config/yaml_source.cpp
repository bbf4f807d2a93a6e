#include "config/yaml_source.hpp"

#include <algorithm>
#include <array>

namespace flow_runner {
namespace {

// Indentation that is written out (`|2`) is relative to something the scalar does not show: a few
// are tried.
constexpr std::size_t max_tried_indent = 40;

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_break(char c) { return c == '\n' || c == '\r'; }

void append_utf8(std::uint32_t code, std::string& out) {
  const auto byte = [&out](std::uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | code >> 6);
    byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3F));
    byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | code >> 18);
    byte(0x80 | (code >> 12 & 0x3F));
    byte(0x80 | (code >> 6 & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

struct Escape {
  std::string text;
  std::size_t length = 0;  // in the source; 0: none that is known
};

/// The escape of a double-quoted scalar at the start of `source` (YAML 1.2, 5.7).
Escape read_escape(std::string_view source) {
  if (source.size() < 2) return {};
  static constexpr std::string_view letters = "0abtnvfre \"/\\\t";
  static constexpr std::array<std::string_view, 14> meanings = {std::string_view("\0", 1),
                                                                "\a",
                                                                "\b",
                                                                "\t",
                                                                "\n",
                                                                "\v",
                                                                "\f",
                                                                "\r",
                                                                "\x1B",
                                                                " ",
                                                                "\"",
                                                                "/",
                                                                "\\",
                                                                "\t"};
  const char letter = source[1];
  if (const auto known = letters.find(letter); known != std::string_view::npos)
    return {std::string(meanings[known]), 2};
  if (letter == 'N') return {"\xC2\x85", 2};
  if (letter == '_') return {"\xC2\xA0", 2};
  if (letter == 'L') return {"\xE2\x80\xA8", 2};
  if (letter == 'P') return {"\xE2\x80\xA9", 2};
  const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
  if (digits == 0 || source.size() < 2 + digits) return {};
  std::uint32_t code = 0;
  for (const char c : source.substr(2, digits)) {
    const int value = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (value < 0) return {};
    code = code << 4 | static_cast<std::uint32_t>(value);
  }
  if (code > 0x10FFFF) return {};
  Escape escape{{}, 2 + digits};
  append_utf8(code, escape.text);
  return escape;
}

/// A run of white space that holds a line break, as flow scalars fold it.
struct Fold {
  std::size_t length = 0;  // 0: no line break here
  std::size_t breaks = 0;
  std::size_t run = 0;  // of white space, breaks or not
};

Fold read_fold(std::string_view source) {
  Fold fold;
  std::size_t i = 0;
  for (; i < source.size() && (is_blank(source[i]) || is_break(source[i])); ++i) {
    if (source[i] == '\n' ||
        (source[i] == '\r' && (i + 1 == source.size() || source[i + 1] != '\n')))
      ++fold.breaks;
  }
  fold.run = i;
  if (fold.breaks > 0) fold.length = i;
  return fold;
}

}  // namespace

SourceLines::SourceLines(std::string_view bytes) : bytes_(bytes), begins_{0} {
  if (bytes.starts_with(byte_order_mark)) begins_.front() = byte_order_mark.size();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\n') begins_.push_back(i + 1);
  }
}

SourceLines::Place SourceLines::place(std::size_t offset) const {
  offset = std::clamp(offset, begins_.front(), std::max(begins_.front(), bytes_.size()));
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), offset);
  const auto line = static_cast<std::size_t>(next - begins_.begin());
  const std::string_view before = bytes_.substr(begins_[line - 1], offset - begins_[line - 1]);
  const auto characters =
      std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return {static_cast<int>(line), static_cast<int>(characters) + 1};
}

std::size_t SourceLines::offset(int line, int column) const {
  if (line < 1) return begins_.front();
  const auto index = std::min(static_cast<std::size_t>(line), begins_.size()) - 1;
  std::size_t at = begins_[index];
  for (int left = column - 1; left > 0 && at < bytes_.size() && bytes_[at] != '\n'; --left) {
    ++at;
    while (at < bytes_.size() && (bytes_[at] & 0xC0) == 0x80) ++at;
  }
  return at;
}

std::size_t SourceLines::line_begin(std::size_t offset) const {
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), offset);
  return next == begins_.begin() ? begins_.front() : *(next - 1);
}

std::size_t SourceLines::line_end(std::size_t offset) const {
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), offset);
  return next == begins_.end() ? bytes_.size() : *next;
}

ScalarSource ScalarSource::locate(const SourceLines& lines, const YamlNode& node) {
  const std::string_view bytes = lines.bytes();
  ScalarSource source;
  std::size_t at = std::min(lines.offset(node.line, node.column), bytes.size());
  source.begin_ = source.end_ = at;
  // The place of a node is that of its anchor or tag.
  while (at < bytes.size() && (bytes[at] == '&' || bytes[at] == '!')) {
    while (at < bytes.size() && !is_blank(bytes[at]) && !is_break(bytes[at])) ++at;
    while (at < bytes.size() && (is_blank(bytes[at]) || is_break(bytes[at]))) ++at;
  }
  if (at >= bytes.size() || node.kind != YamlNode::Kind::scalar) return source;
  source.offsets_.reserve(node.text.size() + 1);
  const bool block = !node.plain && (bytes[at] == '|' || bytes[at] == '>');
  source.exact_ = block ? source.match_block(bytes, at, node) : source.match_flow(bytes, at, node);
  if (!source.exact_) source.offsets_.clear();
  return source;
}

std::size_t ScalarSource::offset(std::size_t index) const {
  if (!exact_) return begin_;
  return offsets_[std::min(index, offsets_.size() - 1)];
}

/// Walks the source along the text that is known to be in it.
bool ScalarSource::match_flow(std::string_view bytes, std::size_t at, const YamlNode& node) {
  style_ = Style::plain;
  if (!node.plain) {
    if (bytes[at] == '"') {
      style_ = Style::double_quoted;
    } else if (bytes[at] == '\'') {
      style_ = Style::single_quoted;
    } else {
      return false;
    }
    ++at;
  }
  const std::string_view text = node.text;
  std::size_t i = 0;
  // Takes `meaning` out of the text; `length` bytes of the source stand for it.
  const auto take = [&](std::string_view meaning, std::size_t length) {
    if (text.substr(i, meaning.size()) != meaning) return false;
    for (std::size_t n = 0; n < meaning.size(); ++n)
      offsets_.push_back(static_cast<std::uint32_t>(at));
    i += meaning.size();
    at += length;
    return true;
  };
  // Up to here is white space without a break: looked at once, however long it is.
  std::size_t blank_until = 0;
  while (at < bytes.size()) {
    const char c = bytes[at];
    const bool closes = (style_ == Style::double_quoted && c == '"') ||
                        (style_ == Style::single_quoted && c == '\'' &&
                         (at + 1 == bytes.size() || bytes[at + 1] != '\''));
    if (closes || (style_ == Style::plain && i == text.size())) break;
    if (style_ == Style::double_quoted && c == '\\') {
      // Blanks before the break are not part of an escaped line break.
      const bool breaks = at + 1 < bytes.size() && is_break(bytes[at + 1]);
      if (const Fold escaped = breaks ? read_fold(bytes.substr(at + 1)) : Fold{}; breaks) {
        if (escaped.breaks == 1) {
          at += 1 + escaped.length;
        } else if (!take(std::string(escaped.breaks - 1, '\n'), 1 + escaped.length)) {
          return false;
        }
        continue;
      }
      const Escape escape = read_escape(bytes.substr(at));
      if (escape.length == 0 || !take(escape.text, escape.length)) return false;
    } else if (style_ == Style::single_quoted && c == '\'') {
      if (!take("'", 2)) return false;
    } else {
      const Fold fold = at < blank_until ? Fold{} : read_fold(bytes.substr(at));
      blank_until = std::max(blank_until, at + fold.run);
      if (fold.length == 0) {
        if (!take(bytes.substr(at, 1), 1)) return false;
      } else {
        const std::string meaning = fold.breaks == 1 ? " " : std::string(fold.breaks - 1, '\n');
        if (!take(meaning, fold.length)) return false;
      }
    }
  }
  if (i != text.size()) return false;
  offsets_.push_back(static_cast<std::uint32_t>(at));
  end_ = style_ == Style::plain ? at : std::min(at + 1, bytes.size());
  return true;
}

namespace {

/// Reads a block scalar's lines as YAML 1.2, chapter 8.1, does.
class BlockReader {
 public:
  BlockReader(std::string_view bytes, std::size_t at, bool folded, char chomping,
              std::vector<std::uint32_t>& offsets)
      : bytes_(bytes), at_(at), folded_(folded), chomping_(chomping), offsets_(offsets) {}

  /// False as soon as it is clear that the text is another one.
  bool read(std::size_t indent, std::string_view wanted) {
    std::size_t end = at_;    // behind the last line with content
    bool after_more = false;  // that line was indented more, or is the first
    bool first = true;
    std::vector<std::size_t> breaks;  // since that line: its own and those of empty ones
    std::size_t at = at_;
    while (at < bytes_.size()) {
      std::size_t content = at;
      while (content < bytes_.size() && content - at < indent && bytes_[content] == ' ') ++content;
      std::size_t stop = content;
      while (stop < bytes_.size() && !is_break(bytes_[stop])) ++stop;
      const std::size_t next = stop + (bytes_.substr(stop, 2) == "\r\n" ? 2 : stop < bytes_.size());
      if (stop == content) {
        breaks.push_back(stop);
      } else if (content - at < indent) {
        break;
      } else {
        const bool more = is_blank(bytes_[content]);
        emit_breaks(breaks, folded_ && !first && !after_more && !more);
        for (std::size_t n = content; n < stop; ++n) emit(bytes_[n], n);
        if (text_.size() > wanted.size()) return false;
        after_more = more;
        first = false;
        end = next;
        breaks.assign(1, stop);
      }
      at = next;
    }
    end_ = end;
    if (chomping_ == '+') {
      emit_breaks(breaks, false);
      end_ = at;
    } else if (chomping_ != '-' && !first) {
      emit('\n', breaks.front());
    }
    // A last line without a line feed: readers differ.
    if (text_.size() == wanted.size() + 1 && text_.back() == '\n') {
      text_.pop_back();
      offsets_.pop_back();
    }
    return text_ == wanted;
  }

  [[nodiscard]] std::size_t end() const { return end_; }

 private:
  void emit(char c, std::size_t offset) {
    text_ += c;
    offsets_.push_back(static_cast<std::uint32_t>(offset));
  }

  void emit_breaks(std::vector<std::size_t>& breaks, bool fold) {
    if (fold && breaks.size() == 1) {
      emit(' ', breaks.front());
    } else {
      for (std::size_t i = fold ? 1 : 0; i < breaks.size(); ++i) emit('\n', breaks[i]);
    }
    breaks.clear();
  }

  std::string_view bytes_;
  std::size_t at_;
  bool folded_;
  char chomping_;
  std::vector<std::uint32_t>& offsets_;
  std::string text_;
  std::size_t end_ = 0;
};

}  // namespace

bool ScalarSource::match_block(std::string_view bytes, std::size_t at, const YamlNode& node) {
  style_ = bytes[at] == '>' ? Style::folded : Style::literal;
  char chomping = ' ';
  bool given = false;
  for (++at; at < bytes.size() && !is_break(bytes[at]) && !is_blank(bytes[at]); ++at) {
    if (bytes[at] == '+' || bytes[at] == '-') chomping = bytes[at];
    if (bytes[at] >= '1' && bytes[at] <= '9') given = true;
  }
  at = std::min(bytes.find('\n', at), bytes.size());
  if (at < bytes.size()) ++at;
  std::size_t indent = 0;
  for (std::size_t line = at; line < bytes.size();) {
    const std::size_t content = std::min(bytes.find_first_not_of(' ', line), bytes.size());
    if (content < bytes.size() && !is_break(bytes[content])) {
      indent = content - line;
      break;
    }
    line = std::min(bytes.find('\n', content), bytes.size() - 1) + 1;
  }
  const std::size_t first = given ? 1 : indent;
  const std::size_t last = given ? std::min(indent, max_tried_indent) : indent;
  for (std::size_t tried = first; tried <= last; ++tried) {
    offsets_.clear();
    BlockReader reader(bytes, at, style_ == Style::folded, chomping, offsets_);
    if (!reader.read(tried, node.text)) continue;
    indent_ = tried;
    end_ = reader.end();
    offsets_.push_back(static_cast<std::uint32_t>(end_));
    return true;
  }
  return false;
}

std::optional<std::string> ScalarSource::encode(std::string_view text) const {
  if (!exact_) return std::nullopt;
  std::string out;
  for (const char c : text) {
    if (c == '\n' && style_ != Style::literal) return std::nullopt;
    if (c == '\n') {
      out += '\n' + std::string(indent_, ' ');
    } else if (style_ == Style::single_quoted && c == '\'') {
      out += "''";
    } else if (style_ == Style::double_quoted && (c == '"' || c == '\\')) {
      out += {'\\', c};
    } else {
      out += c;
    }
  }
  // These would end a plain scalar, or make it a mapping.
  const bool unsafe = text.find(": ") != std::string_view::npos ||
                      text.find(" #") != std::string_view::npos || text.ends_with(':');
  if (style_ == Style::plain && unsafe) return std::nullopt;
  return out;
}

}  // namespace flow_runner
