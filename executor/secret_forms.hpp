// Secret forms: every spelling under which a secret is looked for, from one table of generators.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "executor/masker.hpp"

namespace flow_runner {

/// One spelling of a secret. The bytes are as secret as the value: the owner overwrites them after
/// use.
struct SecretPattern {
  std::string bytes;
  /// How many bytes of the value stand behind it; 0: public by nature (the armour line of a PEM
  /// key), masked in logs but never reported by a publication scan.
  std::size_t raw_bytes = 0;
  /// Looked for as it is and broken into lines, or among digits only: see MaskFold.
  enum class Kind { plain, digits } kind = Kind::plain;
};

/// A family of spellings. A new family is one more line in the table.
struct SecretForm {
  std::string_view name;
  /// Appends the spellings of `value`, in any order; duplicates and the value itself may be among
  /// them.
  void (*add)(std::string_view value, std::vector<std::string>& out);
  SecretPattern::Kind kind = SecretPattern::Kind::plain;
};

/// base64, percent, json, shell, c and digits, in this order.
std::span<const SecretForm> secret_forms();

/// A line of a marked value is looked for from this length on; MaskerPatterns::min_derived_bytes
/// otherwise.
inline constexpr std::size_t min_marked_line_bytes = 4;
/// A shorter spelling would tear ordinary text ("+" for a blank), whoever asks for it.
inline constexpr std::size_t min_form_bytes = 3;
/// Of a larger value the families shell, c and digits are not looked for.
inline constexpr std::size_t max_rare_form_bytes = 64 * 1024;

/// All patterns of a value: none when it is empty, or not marked and under min_derived_bytes.
/// Otherwise the value, the value without surrounding white space (a file's last newline), both in
/// all forms, and each line of it, raw and as JSON. May hold duplicates; none is empty.
std::vector<SecretPattern> secret_patterns(const MaskedValue& value);

}  // namespace flow_runner
