// Text check: which characters have no place in a configuration file that people review.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flow_runner {

enum class CharacterClass : std::uint8_t {
  ordinary,
  invisible,  ///< zero-width and the like: a reviewer may not see it
  dangerous,  ///< control, bidirectional override or tag: a reviewer sees something else than what
              ///< runs
};

/// Classifies one character, given as its valid UTF-8 sequence. Tab, line feed and carriage return
/// are ordinary. The joiners U+200C and U+200D are too: emoji and several scripts need them. The
/// dangerous ones follow "Trojan Source" (CVE-2021-42574) and GitLab's list of characters it
/// refuses in flows.
CharacterClass classify_character(std::string_view symbol) noexcept;

/// `U+202E`, for messages.
std::string code_point_name(std::string_view symbol);

}  // namespace flow_runner
