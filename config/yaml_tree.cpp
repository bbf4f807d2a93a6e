#include "config/yaml_tree.hpp"

#include <algorithm>
#include <istream>
#include <new>
#include <streambuf>
#include <unordered_map>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "config/quoted_path.hpp"
#include "config/text_check.hpp"
#include "config/yaml_source.hpp"

namespace flow_runner {
namespace {

struct Place {
  int line = 0;
  int column = 0;
};

/// Turns yaml-cpp's marks (bytes, from 0) into places (characters, from 1).
class LineIndex {
 public:
  explicit LineIndex(std::string_view text) {
    while (true) {
      const std::size_t end = text.find('\n');
      lines_.push_back(text.substr(0, end));
      if (end == std::string_view::npos) return;
      text.remove_prefix(end + 1);
    }
  }

  [[nodiscard]] Place place(const YAML::Mark& mark) const {
    if (mark.is_null() || mark.line < 0) return {};
    const auto line = std::min<std::size_t>(static_cast<std::size_t>(mark.line), lines_.size() - 1);
    const auto bytes = static_cast<std::size_t>(std::max(mark.column, 0));
    const std::string_view before = lines_[line].substr(0, bytes);
    const auto characters =
        std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xC0) != 0x80; });
    return {static_cast<int>(line) + 1, static_cast<int>(characters) + 1};
  }

  /// Everything from the mark to the end of the text.
  [[nodiscard]] std::string_view rest(const YAML::Mark& mark) const {
    if (mark.is_null() || mark.line < 0) return {};
    const auto line = static_cast<std::size_t>(mark.line);
    if (line >= lines_.size()) return {};
    const auto column =
        std::min(static_cast<std::size_t>(std::max(mark.column, 0)), lines_[line].size());
    const char* begin = lines_[line].data() + column;
    const char* end = lines_.back().data() + lines_.back().size();
    return {begin, static_cast<std::size_t>(end - begin)};
  }

  [[nodiscard]] bool begins_with_tab(int line) const {
    if (line < 1 || static_cast<std::size_t>(line) > lines_.size()) return false;
    const std::string_view text = lines_[static_cast<std::size_t>(line) - 1];
    const std::size_t first = text.find_first_not_of(' ');
    return first != std::string_view::npos && text[first] == '\t';
  }

 private:
  std::vector<std::string_view> lines_;
};

/// Checks every character of the text. False when it must not go to the YAML reader at all.
bool check_characters(std::string_view text, DiagnosticList& diagnostics, bool& dangerous) {
  Place place{1, 1};
  bool readable = true;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      diagnostics.error(place.line, place.column,
                        "the file is not UTF-8 from here on: save it as UTF-8");
      return false;
    }
    const std::string_view symbol = text.substr(0, length);
    text.remove_prefix(length);
    const CharacterClass kind = classify_character(symbol);
    if (kind == CharacterClass::dangerous) {
      dangerous = true;
      // A control character can only be there by accident or malice, and readers disagree about
      // them.
      if (length <= 2) readable = false;
      diagnostics.error(place.line, place.column,
                        "the character " + code_point_name(symbol) +
                            " is not allowed: it can hide what runs; remove it");
    } else if (kind == CharacterClass::invisible) {
      diagnostics.warning(place.line, place.column,
                          "the invisible character " + code_point_name(symbol) + " is here");
    }
    if (symbol == "\n") {
      ++place.line;
      place.column = 1;
    } else {
      ++place.column;
    }
  }
  return readable;
}

/// The first character of a scalar that only an escape such as "\e" can have brought in; empty:
/// none.
std::string_view first_dangerous(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view symbol = text.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0 || classify_character(symbol) == CharacterClass::dangerous) return symbol;
    text.remove_prefix(length);
  }
  return {};
}

/// Whether a quoted scalar, perhaps behind an anchor or a tag, has no closing quote.
bool is_unclosed(std::string_view text) {
  while (text.starts_with('&') || text.starts_with('!')) {
    text.remove_prefix(std::min(text.find_first_of(" \t\r\n"), text.size()));
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  }
  if (text.empty() || (text.front() != '"' && text.front() != '\'')) return false;
  const char quote = text.front();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      const bool doubled = quote == '\'' && i + 1 < text.size() && text[i + 1] == quote;
      if (!doubled) return false;
      ++i;
    }
  }
  return true;
}

/// Ends the reading from within the YAML parser; the reason is a diagnostic already.
struct Stop {};

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const LineIndex& lines, const YamlLimits& limits, bool check_scalars,
              DiagnosticList& diagnostics)
      : lines_(lines), limits_(limits), check_scalars_(check_scalars), diagnostics_(diagnostics) {}

  [[nodiscard]] YamlNodePtr root() const { return root_; }

  /// To yaml-cpp, text that does not belong to the first document begins a second one, with or
  /// without a
  /// `---`. GitLab would ignore or refuse it; a reader of the file would believe that it counts.
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    const Place place = lines_.place(mark);
    diagnostics_.error(
        place.line, place.column,
        "the first YAML document has ended above, and only that one is read: check the "
        "indentation, or remove what follows");
    throw Stop{};
  }
  /// yaml-cpp takes the end of the file for a missing closing quote when it follows a line feed;
  /// what such a scalar has swallowed is everything, so it is the last one.
  void OnDocumentEnd() override {
    if (!is_unclosed(lines_.rest(last_quoted_))) return;
    const Place place = lines_.place(last_quoted_);
    diagnostics_.error(place.line, place.column, "not valid YAML: this quote is never closed");
    root_.reset();
    throw Stop{};
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(YamlNode::Kind::null, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Place place = lines_.place(mark);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      diagnostics_.error(place.line, place.column, "an alias within its own anchor has no end");
      throw Stop{};
    }
    if (!alias_seen_) {
      alias_seen_ = true;
      diagnostics_.warning(place.line, place.column,
                           "GitLab reads flow files without aliases and may refuse this one: write "
                           "the value out");
    }
    count(found->second->weight, place);
    check_depth(static_cast<int>(open_.size()) + found->second->height, place);
    attach(found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto node = make(YamlNode::Kind::scalar, mark);
    node->text = value;
    node->plain = tag == "?";
    if (!node->plain) last_quoted_ = mark;
    // Else aliases of one long text would multiply its bytes.
    const std::size_t extra = value.size() / yaml_bytes_per_node;
    count(extra, {node->line, node->column});
    node->weight += extra;
    check_tag(tag, "tag:yaml.org,2002:str", *node);
    if (check_scalars_) {
      if (const auto symbol = first_dangerous(value); !symbol.empty()) {
        diagnostics_.error(
            node->line, node->column,
            (utf8_length(symbol) == 0 ? "an escape makes a character that is not UTF-8"
                                      : "an escape makes the character " + code_point_name(symbol) +
                                            ", which is not allowed") +
                std::string(": remove it"));
      }
    }
    add(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::sequence, mark, tag, "tag:yaml.org,2002:seq", anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::mapping, mark, tag, "tag:yaml.org,2002:map", anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor = 0;
    YamlNodePtr key;  // of the entry whose value comes next
    std::unordered_map<std::string, int> key_lines;
  };

  std::shared_ptr<YamlNode> make(YamlNode::Kind kind, const YAML::Mark& mark) {
    const Place place = lines_.place(mark);
    count(1, place);
    check_depth(static_cast<int>(open_.size()) + 1, place);
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->line = place.line;
    node->column = place.column;
    return node;
  }

  void count(std::size_t nodes, const Place& place) {
    nodes_ += nodes;
    if (nodes_ <= limits_.max_nodes) return;
    diagnostics_.error(place.line, place.column,
                       "the file has more than " + std::to_string(limits_.max_nodes) +
                           " values, aliases counted as what they stand for: make it smaller");
    throw Stop{};
  }

  void check_depth(int depth, const Place& place) {
    if (depth <= limits_.max_depth) return;
    diagnostics_.error(place.line, place.column,
                       "the file is nested deeper than " + std::to_string(limits_.max_depth) +
                           " levels: make it flatter");
    throw Stop{};
  }

  void check_tag(const std::string& tag, std::string_view allowed, const YamlNode& node) {
    if (tag.empty() || tag == "?" || tag == "!" || tag == allowed) return;
    diagnostics_.error(node.line, node.column,
                       "the YAML tag " + shown(tag) + " is not supported: write a plain value");
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            std::string_view allowed_tag, YAML::anchor_t anchor) {
    auto node = make(kind, mark);
    check_tag(tag, allowed_tag, *node);
    open_.push_back({std::move(node), anchor, nullptr, {}});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    add(std::move(done.node), done.anchor);
  }

  void add(YamlNodePtr node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    attach(std::move(node));
  }

  void attach(YamlNodePtr node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    parent.node->weight += node->weight;
    parent.node->height = std::max(parent.node->height, node->height + 1);
    if (parent.node->kind == YamlNode::Kind::sequence) {
      parent.node->items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = std::move(node);
    } else {
      const YamlNodePtr key = std::exchange(parent.key, nullptr);
      if (check_key(parent, *key)) parent.node->entries.emplace_back(key, std::move(node));
    }
  }

  bool check_key(Open& parent, const YamlNode& key) {
    if (key.kind != YamlNode::Kind::scalar) {
      diagnostics_.error(key.line, key.column, "a key must be a text");
      return false;
    }
    if (key.text == "<<" && key.plain) {
      diagnostics_.error(key.line, key.column,
                         "merge keys (<<) are not supported: write the keys out");
      return false;
    }
    const auto [first, fresh] = parent.key_lines.emplace(key.text, key.line);
    if (fresh) return true;
    diagnostics_.error(key.line, key.column,
                       "the key " + shown(key.text) + " is there twice, first in line " +
                           std::to_string(first->second) + ": remove one");
    return false;
  }

  const LineIndex& lines_;
  const YamlLimits& limits_;
  const bool check_scalars_;
  DiagnosticList& diagnostics_;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, YamlNodePtr> anchors_;
  int documents_ = 0;
  std::size_t nodes_ = 0;
  bool alias_seen_ = false;
  YAML::Mark last_quoted_ = YAML::Mark::null_mark();
  YamlNodePtr root_;
};

/// Reads from bytes that somebody else holds.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view bytes) {
    // std::streambuf has no const form; nothing writes through a get area.
    char* begin = const_cast<char*>(bytes.data());
    setg(begin, begin, begin + bytes.size());
  }
};

/// What yaml-cpp says, in our words where they help more.
std::string syntax_message(const YAML::Exception& error, const LineIndex& lines, int line) {
  std::string reason = error.msg.substr(0, 200);
  const bool printable =
      std::all_of(reason.begin(), reason.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  std::string message = "not valid YAML" + (printable ? ": " + reason : std::string());
  if (lines.begins_with_tab(line)) {
    message += "; indent with spaces, not with tabs";
  } else if (reason == "end of map not found" || reason == "end of sequence not found") {
    message += "; check the indentation";
  } else if (reason == "illegal map value") {
    message += "; a text with `: ` in it needs quotes, or `|` and a line of its own";
  }
  return message;
}

}  // namespace

YamlNodePtr read_yaml(std::string_view bytes, const YamlLimits& limits,
                      DiagnosticList& diagnostics) {
  if (bytes.size() > limits.max_bytes) {
    diagnostics.error(0, 0,
                      "the file is larger than " + std::to_string(limits.max_bytes) +
                          " bytes: make it smaller, for example by moving commands into a script");
    return nullptr;
  }
  if (bytes.starts_with(byte_order_mark)) bytes.remove_prefix(byte_order_mark.size());
  bool dangerous = false;
  if (!check_characters(bytes, diagnostics, dangerous)) return nullptr;

  const LineIndex lines(bytes);
  TreeBuilder builder(lines, limits, !dangerous, diagnostics);
  try {
    ViewBuffer buffer(bytes);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) {
      auto empty = std::make_shared<YamlNode>();
      empty->line = empty->column = 1;
      return empty;
    }
    parser.HandleNextDocument(builder);
  } catch (const Stop&) {
    return builder.root();
  } catch (const YAML::Exception& error) {
    const Place place = lines.place(error.mark);
    diagnostics.error(place.line, place.column, syntax_message(error, lines, place.line));
    return nullptr;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    diagnostics.error(0, 0, "not valid YAML");
    return nullptr;
  }
  return builder.root();
}

}  // namespace flow_runner
