// Mask bytes: tests of 16 bytes at once, by the compiler's vectors (SSE2, NEON).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace flow_runner {

using MaskBytes = unsigned char __attribute__((vector_size(16)));

inline MaskBytes load_mask_bytes(const char* text) {
  MaskBytes bytes;
  std::memcpy(&bytes, text, sizeof bytes);
  return bytes;
}

/// Each byte 0xFF where it lies in [least, most], else 0.
inline MaskBytes bytes_within(MaskBytes bytes, unsigned char least, unsigned char most) {
  return reinterpret_cast<MaskBytes>(bytes - least <= static_cast<unsigned char>(most - least));
}

inline MaskBytes bytes_equal(MaskBytes bytes, char wanted) {
  return reinterpret_cast<MaskBytes>(bytes == static_cast<unsigned char>(wanted));
}

/// The first and the second eight bytes.
inline std::pair<std::uint64_t, std::uint64_t> halves(MaskBytes bytes) {
  std::uint64_t words[2];
  std::memcpy(words, &bytes, sizeof words);
  return {words[0], words[1]};
}

inline bool any_of(MaskBytes flags) {
  const auto [first, second] = halves(flags);
  return (first | second) != 0;
}

/// The first byte that is not 0; there is one.
inline std::size_t first_of(MaskBytes flags) {
  const auto [first, second] = halves(flags);
  return static_cast<std::size_t>(first != 0 ? std::countr_zero(first)
                                             : 64 + std::countr_zero(second)) /
         8;
}

}  // namespace flow_runner
