// MaskSearch: everything that is looked for in one stream, together: the secrets' spellings, the
// same broken up, and what looks like a credential.
#pragma once

#include <cstdint>
#include <string_view>

#include "executor/mask_automaton.hpp"
#include "executor/mask_fold.hpp"
#include "executor/token_search.hpp"

namespace flow_runner {

/// Hears of what was found, in any order. Places count in the stream.
class MaskFindings {
 public:
  /// A secret's spelling of `table` ends at `match.end`; `folded` is the search that found it when
  /// it may be broken up.
  virtual void found(const MaskTable& table, const MaskMatch& match,
                     const FoldedSearch* folded) = 0;
  /// What looks like a credential.
  virtual void found_token(std::uint64_t begin, std::uint64_t end) = 0;

 protected:
  ~MaskFindings() = default;
};

class MaskSearch {
 public:
  explicit MaskSearch(const MaskerPatterns::Automaton& automaton);

  /// Looks at text[fresh, …), the stream's next bytes. Of what comes before, the bytes that were
  /// open and the last look_back_bytes are needed. `base` is the text's place in the stream.
  /// Returns how many bytes at the end are open: what is found later may contain them.
  std::size_t read(std::string_view text, std::size_t fresh, std::uint64_t base,
                   MaskFindings& findings);
  /// Tells that the owner dropped bytes at the beginning of the text.
  void drop_front(std::size_t bytes);

  static constexpr std::size_t look_back_bytes = 48;
  static_assert(look_back_bytes >= TokenSearch::look_back_bytes);

 private:
  void read_plain(std::string_view text, std::uint64_t base, MaskFindings& findings);
  void read_lines(std::string_view text, std::size_t fresh, std::uint64_t base,
                  MaskFindings& findings);
  void read_indented(std::string_view text, std::size_t fresh, std::uint64_t base,
                     MaskFindings& findings);
  void read_digits(std::string_view text, std::size_t fresh, std::uint64_t base,
                   MaskFindings& findings);

  const MaskerPatterns::Automaton* automaton_;
  MaskPatternSet::Cursors cursors_;
  FoldedSearch lines_;
  FoldedSearch indented_;
  FoldedSearch digits_;
  TokenSearch tokens_;
};

/// The largest number of bytes that can be open.
std::size_t max_open_bytes(const MaskerPatterns::Automaton& automaton);

}  // namespace flow_runner
