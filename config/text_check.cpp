#include "config/text_check.hpp"

#include <array>
#include <cstdio>

namespace flow_runner {
namespace {

std::uint32_t code_point(std::string_view symbol) {
  const auto lead = static_cast<std::uint8_t>(symbol.front());
  std::uint32_t value = lead;
  if (symbol.size() > 1) value = lead & (0x7FU >> symbol.size());
  for (const char c : symbol.substr(1)) {
    value = (value << 6) | (static_cast<std::uint8_t>(c) & 0x3FU);
  }
  return value;
}

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

constexpr std::array<Range, 8> dangerous_ranges = {{{0x00, 0x08},
                                                    {0x0B, 0x0C},
                                                    {0x0E, 0x1F},
                                                    {0x7F, 0x9F},
                                                    {0x202A, 0x202E},
                                                    {0x2066, 0x2069},
                                                    {0xFFF9, 0xFFFB},
                                                    {0xE0000, 0xE007F}}};
constexpr std::array<Range, 9> invisible_ranges = {{{0xAD, 0xAD},
                                                    {0x61C, 0x61C},
                                                    {0x180E, 0x180E},
                                                    {0x200B, 0x200B},
                                                    {0x200E, 0x200F},
                                                    {0x2028, 0x2029},
                                                    {0x2060, 0x2065},
                                                    {0x206A, 0x206F},
                                                    {0xFEFF, 0xFEFF}}};

template <std::size_t N>
bool within(const std::array<Range, N>& ranges, std::uint32_t value) {
  for (const Range& range : ranges) {
    if (value >= range.first && value <= range.last) return true;
  }
  return false;
}

}  // namespace

CharacterClass classify_character(std::string_view symbol) noexcept {
  if (symbol.empty()) return CharacterClass::ordinary;
  const std::uint32_t value = code_point(symbol);
  if (within(dangerous_ranges, value)) return CharacterClass::dangerous;
  if (within(invisible_ranges, value)) return CharacterClass::invisible;
  return CharacterClass::ordinary;
}

std::string code_point_name(std::string_view symbol) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "U+%04X", symbol.empty() ? 0 : code_point(symbol));
  return text.data();
}

}  // namespace flow_runner
