#include "executor/mask_lane.hpp"

#include <algorithm>
#include <array>

namespace flow_runner {
namespace {

constexpr std::array<std::size_t, 5> head_sizes = {16, 8, 4, 2, 1};

std::vector<std::string_view> bytes_of(const std::vector<MaskTrie::Entry>& entries) {
  std::vector<std::string_view> bytes;
  bytes.reserve(entries.size());
  for (const MaskTrie::Entry& entry : entries) bytes.push_back(entry.bytes);
  return bytes;
}

}  // namespace

MaskLane::MaskLane(const std::vector<MaskTrie::Entry>& sorted, std::size_t head_bytes)
    : heads_(bytes_of(sorted), head_bytes), trie_(sorted, heads_) {}

void MaskLane::scan(std::string_view text, Cursor& cursor, MaskHits& hits) const {
  for (;;) {
    if (cursor.state_.node == MaskTrie::none) {
      const MaskHeads::Place place = heads_.find_from(text, cursor.next_);
      cursor.next_ = place.begin;
      if (place.head == MaskHeads::none) return;
      cursor.state_ = trie_.start(place.head);
      cursor.next_ += heads_.head_bytes();
      if (!arrive(cursor, hits)) continue;
    }
    while (cursor.next_ < text.size()) {
      if (trie_.step(cursor.state_, static_cast<unsigned char>(text[cursor.next_]))) {
        ++cursor.next_;
        if (!arrive(cursor, hits)) break;
      } else if (!trie_.fall_back(cursor.state_)) {
        // Heads that end at or before the next byte's place would have been a state to fall back
        // to.
        cursor.state_ = {};
        cursor.next_ = cursor.next_ + 1 - heads_.head_bytes();
        break;
      }
    }
    if (cursor.state_.node != MaskTrie::none) return;
  }
}

// Reports what ends here. False when that was the last state: leaving a leaf at once keeps bytes
// that no pattern can use from being held back.
bool MaskLane::arrive(Cursor& cursor, MaskHits& hits) const {
  if (trie_.has_output(cursor.state_))
    hits.hit(cursor.next_, trie_, trie_.output_at(trie_.output(cursor.state_)));
  while (trie_.is_leaf(cursor.state_)) {
    if (trie_.fall_back(cursor.state_)) continue;
    cursor.state_ = {};
    cursor.next_ = cursor.next_ + 1 - heads_.head_bytes();
    return false;
  }
  return true;
}

std::size_t MaskLane::open_bytes(std::string_view text, const Cursor& cursor) const noexcept {
  return cursor.state_.node != MaskTrie::none ? cursor.state_.depth : heads_.open_bytes(text);
}

std::size_t mask_head_bytes(std::size_t pattern_bytes) noexcept {
  for (std::size_t size : head_sizes)
    if (pattern_bytes >= size) return size;
  return 1;
}

MaskPatternSet::MaskPatternSet(const std::vector<std::string_view>& sorted) {
  for (std::size_t size : head_sizes) {
    std::vector<MaskTrie::Entry> entries;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (mask_head_bytes(sorted[i].size()) != size) continue;
      entries.push_back({sorted[i], static_cast<std::uint32_t>(i)});
      max_open_bytes_ = std::max(max_open_bytes_, sorted[i].size() - 1);
    }
    if (!entries.empty()) lanes_.emplace_back(entries, size);
  }
}

}  // namespace flow_runner
