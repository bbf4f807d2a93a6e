// MaskFold: a text without the bytes that writers put between the pieces of an encoded value, and
// the search in it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "executor/mask_lane.hpp"

namespace flow_runner {

/// What each byte of a text is to a fold, which depends on it and the byte before only: it is kept,
/// dropped, or ends what is folded together. A fold makes one text of all ways to break up a value.
class MaskFold {
 public:
  enum class Class : std::uint8_t { other, kept, dropped };

  /// Base64 text broken into lines: by line breaks, or by their escapes within a string.
  static const MaskFold& lines();
  /// The same indented, or with the marks of a diff at the beginning of each line, which may be
  /// base64 as well.
  static const MaskFold& indented_lines();
  /// Bytes as numbers: hexadecimal digits in lower case, without what stands between them, `0x`,
  /// `\x`, `%`, and `&#` included. Octal and decimal numbers are hexadecimal digits too.
  static const MaskFold& digits();

  [[nodiscard]] Class classify(std::string_view text, std::size_t at) const noexcept {
    const Rule rule = rules_[static_cast<unsigned char>(text[at])];
    if (rule.margin && is_in_margin(text, at)) return Class::dropped;
    return at > 0 && text[at - 1] == '\\' ? rule.escaped : rule.plain;
  }
  /// Appends the kept bytes from text[at] on, as far as no backslash matters, to `out`; returns
  /// where they end.
  std::size_t append_kept(std::string_view text, std::size_t at, std::string& out) const;

  /// Patterns shorter than this are not looked for: broken up, they occur in ordinary text.
  [[nodiscard]] std::size_t min_pattern_bytes() const noexcept { return min_pattern_bytes_; }
  /// More dropped bytes on end end what is folded together; this bounds what is held back.
  [[nodiscard]] std::size_t max_dropped() const noexcept { return max_dropped_; }

 private:
  struct Rule {
    Class plain = Class::other;
    Class escaped = Class::other;  // after a backslash
    bool margin = false;           // dropped at the beginning of a line
  };
  MaskFold(std::size_t min_pattern_bytes, std::size_t max_dropped)
      : min_pattern_bytes_(min_pattern_bytes), max_dropped_(max_dropped) {}
  static bool is_in_margin(std::string_view text, std::size_t at) noexcept;
  void set(std::string_view bytes, Class plain, Class escaped);

  std::array<Rule, 256> rules_;
  std::array<bool, 256> always_kept_{};
  bool lower_case_ = false;
  std::size_t min_pattern_bytes_;
  std::size_t max_dropped_;
};

/// A pattern found: where it lies in the stream.
struct MaskMatch {
  std::uint64_t end = 0;
  const MaskTrie* trie = nullptr;
  const MaskTrie::Output* longest = nullptr;  ///< of all that end here
};

/// Searches one region of a stream, kept and dropped bytes on end, for patterns that are folded.
class FoldedSearch {
 public:
  /// Hears of what was found, in any order.
  class Hits {
   public:
    virtual void folded_hit(const FoldedSearch& search, const MaskMatch& match) = 0;

   protected:
    ~Hits() = default;
  };

  FoldedSearch(const MaskFold& fold, const MaskPatternSet& set) : fold_(&fold), set_(&set) {}
  FoldedSearch(FoldedSearch&&) noexcept = default;
  FoldedSearch& operator=(FoldedSearch&&) noexcept = default;
  ~FoldedSearch();

  [[nodiscard]] const MaskFold& fold() const noexcept { return *fold_; }
  [[nodiscard]] const MaskPatternSet& set() const noexcept { return *set_; }
  /// The region reaches to the end of what was read.
  [[nodiscard]] bool active() const noexcept { return active_; }
  /// Reads text[at, …) as the region's (a new one's if none is active) and returns where that ends.
  /// `base` is the text's place in the stream.
  std::size_t run(std::string_view text, std::size_t at, std::uint64_t base, Hits& hits);
  /// Where in the stream the longest end of the region begins that can still become a pattern;
  /// `end` if there is none.
  [[nodiscard]] std::uint64_t open_from(std::uint64_t end) const noexcept;
  /// While a hit is told: where in the stream its last `bytes` folded bytes begin.
  [[nodiscard]] std::uint64_t begin_of_hit(std::size_t bytes) const noexcept {
    return place(hit_end_ - bytes);
  }

 private:
  // Folded bytes from `folded` on come from `place` on, up to the next piece's.
  struct Piece {
    std::size_t folded = 0;
    std::uint64_t place = 0;
  };

  [[nodiscard]] std::uint64_t place(std::size_t folded) const noexcept;
  [[nodiscard]] std::size_t open_bytes() const noexcept;
  void search(Hits& hits);
  void forget();
  void trim();

  const MaskFold* fold_;
  const MaskPatternSet* set_;
  MaskPatternSet::Cursors cursors_;
  std::string folded_;
  std::vector<Piece> pieces_;
  std::size_t dropped_ = 0;  // on end
  std::size_t hit_end_ = 0;  // in folded_
  bool active_ = false;
};

}  // namespace flow_runner
