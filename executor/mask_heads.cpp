#include "executor/mask_heads.hpp"

#include <algorithm>
#include <bit>
#include <string.h>
#include <type_traits>

namespace flow_runner {
namespace {

constexpr std::size_t gram_bytes_of(std::size_t head_bytes) {
  return head_bytes >= 8 ? 4 : head_bytes == 4 ? 3 : head_bytes;
}

template <std::size_t Bytes>
std::uint32_t load_gram(const char* text) {
  // Put together from whole loads: a partly written word stalls the next read of it.
  constexpr std::size_t low_bytes = Bytes == 3 ? 2 : Bytes;
  std::conditional_t<low_bytes == 4, std::uint32_t,
                     std::conditional_t<low_bytes == 2, std::uint16_t, std::uint8_t>>
      low = 0;
  std::memcpy(&low, text, low_bytes);
  std::uint32_t gram = low;
  if constexpr (Bytes == 3)
    gram |= static_cast<std::uint32_t>(static_cast<unsigned char>(text[2])) << 16;
  return gram * 0x9E3779B1U;
}

std::uint64_t load_word(const char* text, std::size_t bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, text, bytes);
  return word;
}

template <std::size_t Bytes>
std::uint64_t hash_head(const char* text) {
  constexpr std::uint64_t multiplier = 0x9E3779B97F4A7C15ULL;
  std::uint64_t hash = load_word(text, std::min<std::size_t>(Bytes, 8)) * multiplier;
  if constexpr (Bytes > 8) hash = (hash ^ hash >> 32 ^ load_word(text + 8, Bytes - 8)) * multiplier;
  return hash >> 32;
}

std::size_t pair_at(std::string_view text) {
  return static_cast<std::size_t>(static_cast<unsigned char>(text[0])) << 8 |
         static_cast<unsigned char>(text[1]);
}

// Calls `use` with the number of bytes as a constant: the loops compile to single loads and
// compares.
template <class Use>
auto with_head_bytes(std::size_t head_bytes, Use use) {
  switch (head_bytes) {
    case 1:
      return use(std::integral_constant<std::size_t, 1>{});
    case 2:
      return use(std::integral_constant<std::size_t, 2>{});
    case 4:
      return use(std::integral_constant<std::size_t, 4>{});
    case 8:
      return use(std::integral_constant<std::size_t, 8>{});
    default:
      return use(std::integral_constant<std::size_t, 16>{});
  }
}

}  // namespace

MaskHeads::MaskHeads(const std::vector<std::string_view>& sorted, std::size_t head_bytes)
    : head_bytes_(head_bytes) {
  std::string_view last;
  std::size_t distinct = 0;
  for (std::string_view pattern : sorted) {
    if (pattern.substr(0, head_bytes) != last) ++distinct;
    last = pattern.substr(0, head_bytes);
  }
  // Reserved in one piece: a string that grows leaves copies behind.
  bytes_.reserve(distinct * head_bytes);
  slots_.assign(std::bit_ceil(distinct * 2 + 1), none);
  for (std::string_view pattern : sorted) {
    const std::string_view head = pattern.substr(0, head_bytes);
    first_bytes_.set(static_cast<unsigned char>(head[0]));
    if (head_bytes > 1) first_pairs_.set(pair_at(head));
    if (!bytes_.empty() && bytes_.ends_with(head)) continue;
    bytes_ += head;
    insert(static_cast<std::uint32_t>(count() - 1));
  }
  with_head_bytes(head_bytes, [this](auto bytes) { add_grams<bytes()>(); });
}

MaskHeads::~MaskHeads() { explicit_bzero(bytes_.data(), bytes_.size()); }

void MaskHeads::insert(std::uint32_t head) {
  const char* text = bytes_.data() + head * head_bytes_;
  const auto hash =
      with_head_bytes(head_bytes_, [text](auto bytes) { return hash_head<bytes()>(text); });
  std::size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot] != none) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = head;
}

template <std::size_t Bytes>
void MaskHeads::add_grams() {
  constexpr std::size_t gram_bytes = gram_bytes_of(Bytes);
  constexpr std::size_t grams_per_head = Bytes - gram_bytes + 1;
  // One bit in 16 set lets little text through; a table beyond the second-level cache costs more.
  const std::size_t bits =
      std::clamp<std::size_t>(std::bit_ceil(count() * grams_per_head * 16), 1U << 12, 1U << 22);
  gram_bits_.assign(bits / 32, 0);
  gram_shift_ = 32U - static_cast<unsigned>(std::countr_zero(bits));
  gram_offsets_.assign(bits / 8, 0);
  offsets_shift_ = gram_shift_ + 3;
  for (std::size_t head = 0; head < bytes_.size(); head += Bytes) {
    for (std::size_t offset = 0; offset < grams_per_head; ++offset) {
      const std::uint32_t gram = load_gram<gram_bytes>(bytes_.data() + head + offset);
      const std::uint32_t bit = gram >> gram_shift_;
      gram_bits_[bit / 32] |= 1U << (bit % 32);
      gram_offsets_[gram >> offsets_shift_] |= static_cast<std::uint16_t>(1U << offset);
    }
  }
}

template <std::size_t Bytes>
std::uint32_t MaskHeads::find_at_as(const char* text) const noexcept {
  std::size_t slot = hash_head<Bytes>(text) & (slots_.size() - 1);
  for (; slots_[slot] != none; slot = (slot + 1) & (slots_.size() - 1))
    if (std::memcmp(bytes_.data() + slots_[slot] * Bytes, text, Bytes) == 0) return slots_[slot];
  return none;
}

std::uint32_t MaskHeads::find_at(const char* text) const noexcept {
  return with_head_bytes(head_bytes_,
                         [this, text](auto bytes) { return find_at_as<bytes()>(text); });
}

template <std::size_t Bytes>
MaskHeads::Place MaskHeads::find_from_as(std::string_view text, std::size_t begin) const noexcept {
  constexpr std::size_t gram_bytes = gram_bytes_of(Bytes);
  constexpr std::size_t stride = Bytes - gram_bytes + 1;
  if (text.size() < Bytes) return {.begin = begin};
  const std::size_t last = text.size() - Bytes;
  const auto may_hold = [this, data = text.data()](std::size_t at) {
    const std::uint32_t bit = load_gram<gram_bytes>(data + at) >> gram_shift_;
    return (gram_bits_[bit / 32] >> (bit % 32)) & 1U;
  };
  while (begin <= last) {
    // The gram at `at` lies in all windows that begin in [begin, at].
    std::size_t at = begin + stride - 1;
    while (at + 3 * stride <= last && (may_hold(at) | may_hold(at + stride) |
                                       may_hold(at + 2 * stride) | may_hold(at + 3 * stride)) == 0)
      at += 4 * stride;
    while (at + stride <= last && may_hold(at) == 0) at += stride;
    begin = at + 1 - stride;
    if (begin > last) break;
    at = std::min(at, last);
    const std::uint32_t windows = (2U << (at - begin)) - 1;
    std::uint32_t offsets =
        gram_offsets_[load_gram<gram_bytes>(text.data() + at) >> offsets_shift_] & windows;
    while (offsets != 0) {
      const auto offset = static_cast<unsigned>(std::bit_width(offsets) - 1);
      const std::uint32_t head = find_at_as<Bytes>(text.data() + at - offset);
      if (head != none) return {.head = head, .begin = at - offset};
      offsets ^= 1U << offset;
    }
    begin = at + 1;
  }
  return {.begin = begin};
}

MaskHeads::Place MaskHeads::find_from(std::string_view text, std::size_t begin) const noexcept {
  return with_head_bytes(head_bytes_,
                         [&](auto bytes) { return find_from_as<bytes()>(text, begin); });
}

bool MaskHeads::any_begins_with(std::string_view prefix) const noexcept {
  std::size_t low = 0;
  std::size_t high = count();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const int order =
        std::memcmp(bytes_.data() + middle * head_bytes_, prefix.data(), prefix.size());
    if (order == 0) return true;
    (order < 0 ? low : high) = order < 0 ? middle + 1 : middle;
  }
  return false;
}

std::size_t MaskHeads::open_bytes(std::string_view text) const noexcept {
  for (std::size_t bytes = std::min(head_bytes_ - 1, text.size()); bytes > 0; --bytes) {
    const std::string_view end = text.substr(text.size() - bytes);
    if (bytes == 1) return first_bytes_[static_cast<unsigned char>(end[0])] ? 1 : 0;
    if (first_pairs_[pair_at(end)] && any_begins_with(end)) return bytes;
  }
  return 0;
}

}  // namespace flow_runner
