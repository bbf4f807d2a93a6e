// MaskLane: finds the patterns of one class of length in a stream; MaskPatternSet: the lanes
// together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "executor/mask_heads.hpp"
#include "executor/mask_trie.hpp"

namespace flow_runner {

/// Hears of patterns found. Within one call of scan() the ends never decrease.
class MaskHits {
 public:
  /// Patterns end at `end` (an offset in the scanned text); `longest` is the first of their chain.
  virtual void hit(std::size_t end, const MaskTrie& trie, const MaskTrie::Output& longest) = 0;

 protected:
  ~MaskHits() = default;
};

/// Patterns of 1, 2–3, 4–7, 8–15, or 16 bytes and more: the longer the shortest pattern, the more
/// text is skipped, hence a lane for each class.
class MaskLane {
 public:
  explicit MaskLane(const std::vector<MaskTrie::Entry>& sorted, std::size_t head_bytes);

  /// No pattern is shorter.
  [[nodiscard]] std::size_t head_bytes() const noexcept { return heads_.head_bytes(); }

  /// Where a scan stands. Offsets count from the beginning of the text that is given to scan():
  /// whoever drops bytes there calls drop_front().
  class Cursor {
   public:
    void drop_front(std::size_t bytes) noexcept { next_ -= next_ < bytes ? next_ : bytes; }

   private:
    friend class MaskLane;
    MaskTrie::State state_;  // without a node: looking for a head
    std::size_t next_ = 0;   // with a node: the next byte; without: where the next head may begin
  };

  /// Goes on to the end of `text`: what was scanned before, less dropped bytes, plus what is new.
  /// In a state only new bytes are read, else also the head_bytes - 1 before them.
  void scan(std::string_view text, Cursor& cursor, MaskHits& hits) const;

  /// After scan() of the same text: the length of its longest end that can still become a pattern.
  [[nodiscard]] std::size_t open_bytes(std::string_view text, const Cursor& cursor) const noexcept;

 private:
  bool arrive(Cursor& cursor, MaskHits& hits) const;

  MaskHeads heads_;
  MaskTrie trie_;
};

/// The class of a pattern: head_bytes of its lane.
std::size_t mask_head_bytes(std::size_t pattern_bytes) noexcept;

/// Any set of patterns in their lanes.
class MaskPatternSet {
 public:
  using Cursors = std::vector<MaskLane::Cursor>;

  /// `sorted` and distinct, none empty; pattern i is called i.
  explicit MaskPatternSet(const std::vector<std::string_view>& sorted);

  [[nodiscard]] Cursors start() const { return Cursors(lanes_.size()); }
  [[nodiscard]] const std::vector<MaskLane>& lanes() const noexcept { return lanes_; }
  /// The largest number of bytes that can be open: the longest pattern less one.
  [[nodiscard]] std::size_t max_open_bytes() const noexcept { return max_open_bytes_; }

 private:
  std::vector<MaskLane> lanes_;
  std::size_t max_open_bytes_ = 0;
};

}  // namespace flow_runner
