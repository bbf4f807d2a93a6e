// MaskHeads: the first bytes of a set of patterns, all of one length, found in a text by skipping.
#pragma once

#include <bitset>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace flow_runner {

/// A *head* is what a pattern begins with, `head_bytes` long. Heads are found with a table of
/// *grams* (3 or 4 consecutive bytes): of all windows of head_bytes that contain the text's gram at
/// one place, none is a head unless some head has that gram. So one look-up rules out several
/// windows, and the next one can be taken that many bytes further on. What the table lets through
/// is compared exactly.
class MaskHeads {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  /// `sorted` patterns, each of at least head_bytes; head_bytes is 1, 2, 4, 8 or 16.
  MaskHeads(const std::vector<std::string_view>& sorted, std::size_t head_bytes);
  MaskHeads(MaskHeads&&) noexcept = default;
  MaskHeads& operator=(MaskHeads&&) = delete;
  ~MaskHeads();

  [[nodiscard]] std::size_t head_bytes() const noexcept { return head_bytes_; }
  /// Heads are numbered in their order.
  [[nodiscard]] std::size_t count() const noexcept { return bytes_.size() / head_bytes_; }

  /// The head at `text` (head_bytes can be read), or none.
  [[nodiscard]] std::uint32_t find_at(const char* text) const noexcept;

  struct Place {
    std::uint32_t head = none;
    std::size_t begin = 0;  ///< of the head; without one: of the first window that needs more text
  };
  /// The first head that begins at `begin` or later and lies in `text`.
  [[nodiscard]] Place find_from(std::string_view text, std::size_t begin) const noexcept;

  /// The length of the longest end of `text` that is the beginning of a head, less than head_bytes.
  [[nodiscard]] std::size_t open_bytes(std::string_view text) const noexcept;

 private:
  [[nodiscard]] bool any_begins_with(std::string_view prefix) const noexcept;
  void insert(std::uint32_t head);
  template <std::size_t Bytes>
  [[nodiscard]] std::uint32_t find_at_as(const char* text) const noexcept;
  template <std::size_t Bytes>
  [[nodiscard]] Place find_from_as(std::string_view text, std::size_t begin) const noexcept;
  template <std::size_t Bytes>
  void add_grams();

  std::size_t head_bytes_;
  std::string bytes_;                 // all heads, one after the other, in order
  std::vector<std::uint32_t> slots_;  // a hash table with open addressing
  std::vector<std::uint32_t> gram_bits_;
  std::vector<std::uint16_t> gram_offsets_;  // bit i: some head has the gram at offset i
  unsigned gram_shift_ = 0;
  unsigned offsets_shift_ = 0;
  std::bitset<256> first_bytes_;
  std::bitset<65536> first_pairs_;
};

}  // namespace flow_runner
