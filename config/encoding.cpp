#include "config/encoding.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <openssl/evp.h>

namespace flow_runner {
namespace {

constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (std::size_t i = 0; i < base64_alphabet.size(); ++i) {
    values[static_cast<unsigned char>(base64_alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}

constexpr std::array<std::int8_t, 256> base64_values = make_base64_values();

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  hex.reserve(size * 2);
  for (unsigned int i = 0; i < size; ++i) {
    hex += digits[digest[i] >> 4];
    hex += digits[digest[i] & 15];
  }
  return hex;
}

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group <<= 8;
      if (j < count) group |= static_cast<unsigned char>(bytes[i + j]);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= count ? base64_alphabet[(group >> (18 - 6 * j)) & 63] : '=';
    }
  }
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  const Error error{ErrorCode::invalid_input, "not base64 (standard alphabet, padded, one line)"};
  if (text.size() % 4 != 0) return error;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    std::size_t count = 3;
    if (last && text[i + 3] == '=') count = text[i + 2] == '=' ? 1 : 2;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      group <<= 6;
      if (j > count) continue;
      const std::int8_t value = base64_values[static_cast<unsigned char>(text[i + j])];
      if (value < 0) return error;
      group |= static_cast<std::uint32_t>(value);
    }
    if (count < 3 && (group & (count == 1 ? 0xFFFFU : 0xFFU)) != 0) return error;
    for (std::size_t j = 0; j < count; ++j) {
      bytes += static_cast<char>((group >> (16 - 8 * j)) & 0xFF);
    }
  }
  return bytes;
}

}  // namespace flow_runner
