// MaskerPatterns::Automaton: what compile() makes of the secrets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "executor/mask_lane.hpp"
#include "executor/masker.hpp"

namespace flow_runner {

/// Spellings of secrets, and whose they are.
struct MaskTable {
  /// A secret that has the pattern as one of its spellings.
  struct Owner {
    std::uint32_t secret = 0;
    std::size_t raw_bytes = 0;  ///< see SecretPattern
  };
  struct Pattern {
    std::uint32_t first_owner = 0;  ///< in owners, up to the next pattern's
    std::uint32_t newlines = 0;
  };

  MaskPatternSet set;
  std::vector<Pattern> patterns;  ///< and one more, as the end
  std::vector<Owner> owners;

  /// Calls report(secret, pattern's bytes, pattern's newlines) for each secret of min_bytes and
  /// more that has one of the patterns at `longest`.
  template <class Report>
  void for_each_secret(const MaskTrie& trie, const MaskTrie::Output& longest, std::size_t min_bytes,
                       Report report) const {
    for (const MaskTrie::Output* output = &longest;; output = &trie.output_at(output->next)) {
      const Pattern& pattern = patterns[output->pattern];
      const std::uint32_t end = patterns[output->pattern + 1].first_owner;
      for (std::uint32_t i = pattern.first_owner; i < end; ++i)
        if (owners[i].raw_bytes >= min_bytes && owners[i].raw_bytes > 0)
          report(owners[i].secret, output->bytes, pattern.newlines);
      if (output->next == MaskTrie::none) return;
    }
  }
};

struct MaskerPatterns::Automaton {
  MaskTable plain;   ///< looked for as they are, and broken into lines: MaskFold::lines()
  MaskTable digits;  ///< looked for in what MaskFold::digits() leaves
  std::vector<std::string> names;  ///< of the secrets
};

}  // namespace flow_runner
