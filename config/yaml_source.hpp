// YAML source: where each byte of a scalar stands in its file, and how to write a text in its
// place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_tree.hpp"

namespace flow_runner {

/// May stand in front of a file, and is none of its text.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// A file's bytes as lines.
class SourceLines {
 public:
  explicit SourceLines(std::string_view bytes);

  struct Place {
    int line = 0;    ///< from 1
    int column = 0;  ///< from 1, in characters
  };
  [[nodiscard]] Place place(std::size_t offset) const;
  /// The offset of a node's first byte; a place that does not exist is the nearest that does.
  [[nodiscard]] std::size_t offset(int line, int column) const;
  /// Where the line that holds the offset begins, and where the next one does.
  [[nodiscard]] std::size_t line_begin(std::size_t offset) const;
  [[nodiscard]] std::size_t line_end(std::size_t offset) const;
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
  std::vector<std::size_t> begins_;
};

/// A scalar where it is written.
class ScalarSource {
 public:
  enum class Style : std::uint8_t { plain, single_quoted, double_quoted, literal, folded };

  /// Finds the source of a scalar that read_yaml() read from the same bytes. What it finds is
  /// compared with the scalar's text; when they differ, every byte has the node's own place.
  static ScalarSource locate(const SourceLines& lines, const YamlNode& node);

  /// Whether offsets are those of the bytes themselves.
  [[nodiscard]] bool exact() const { return exact_; }
  [[nodiscard]] Style style() const { return style_; }
  [[nodiscard]] std::size_t begin() const { return begin_; }
  /// Behind the scalar's last byte, its closing quote included.
  [[nodiscard]] std::size_t end() const { return end_; }
  /// The file offset of a byte of the text; of its end too.
  [[nodiscard]] std::size_t offset(std::size_t index) const;
  /// Bytes that mean `text` within this scalar; absent when its style has none.
  [[nodiscard]] std::optional<std::string> encode(std::string_view text) const;

 private:
  bool match_flow(std::string_view bytes, std::size_t at, const YamlNode& node);
  bool match_block(std::string_view bytes, std::size_t at, const YamlNode& node);

  Style style_ = Style::plain;
  bool exact_ = false;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t indent_ = 0;
  std::vector<std::uint32_t> offsets_;
};

}  // namespace flow_runner
