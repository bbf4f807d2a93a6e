#include "executor/mask_search.hpp"

#include <algorithm>

#include "executor/mask_bytes.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t chunk_bytes = 8;

using Class = MaskFold::Class;

// The first line break, or backslash, from `at` on.
std::size_t find_break(std::string_view text, std::size_t at) {
  for (; at + sizeof(MaskBytes) <= text.size(); at += sizeof(MaskBytes)) {
    const MaskBytes bytes = load_mask_bytes(text.data() + at);
    const MaskBytes breaks =
        bytes_equal(bytes, '\n') | bytes_equal(bytes, '\r') | bytes_equal(bytes, '\\');
    if (any_of(breaks)) return at + first_of(breaks);
  }
  while (at < text.size() && text[at] != '\n' && text[at] != '\r' && text[at] != '\\') ++at;
  return at;
}

// The first margin from `at` on.
std::size_t find_margin(std::string_view text, std::size_t at) {
  const auto is_margin = [](char c) { return c == '+' || c == '-' || c == ' ' || c == '\t'; };
  const auto follows_break = [&](std::size_t place) {
    return place > 0 && (text[place - 1] == '\n' ||
                         (text[place - 1] == 'n' && place > 1 && text[place - 2] == '\\'));
  };
  for (; at < 2 && at < text.size(); ++at)
    if (is_margin(text[at]) && follows_break(at)) return at;
  for (; at + sizeof(MaskBytes) <= text.size(); at += sizeof(MaskBytes)) {
    const MaskBytes before = load_mask_bytes(text.data() + at - 1);
    const MaskBytes escape = load_mask_bytes(text.data() + at - 2);
    const MaskBytes bytes = load_mask_bytes(text.data() + at);
    const MaskBytes margins =
        (bytes_equal(before, '\n') | (bytes_equal(before, 'n') & bytes_equal(escape, '\\'))) &
        (bytes_equal(bytes, '+') | bytes_equal(bytes, '-') | bytes_equal(bytes, ' ') |
         bytes_equal(bytes, '\t'));
    if (any_of(margins)) return at + first_of(margins);
  }
  while (at < text.size() && !(is_margin(text[at]) && follows_break(at))) ++at;
  return at;
}

// Where the kept bytes begin from which only a break leads to `place`; `place` if there are none.
std::size_t first_kept(const MaskFold& fold, std::string_view text, std::size_t place) {
  std::size_t first = place;
  std::size_t dropped = 0;
  for (std::size_t at = place; at > 0; --at) {
    const Class what = fold.classify(text, at - 1);
    if (what == Class::other || (what == Class::dropped && ++dropped > fold.max_dropped())) break;
    if (what == Class::dropped) continue;
    dropped = 0;
    first = at - 1;
  }
  return first;
}

// Each byte 0xFF that the fold of digits may not end at; of those that it takes only after a
// backslash all.
MaskBytes may_be_digits(MaskBytes bytes) {
  MaskBytes found = bytes_within(bytes, ' ', ';') | bytes_within(bytes, '\t', '\r');
  found |= bytes_within(bytes | 0x20, 'a', 'f') | bytes_equal(bytes | 0x20, 'x');
  found |= bytes_equal(bytes, '\\') | bytes_equal(bytes, 'n') | bytes_equal(bytes, 'r') |
           bytes_equal(bytes, 't') | bytes_equal(bytes, 'u');
  return found;
}

// All of text[at, at + chunk_bytes) is folded together, and some of it kept.
bool is_digits_chunk(const MaskFold& fold, std::string_view text, std::size_t at) {
  bool kept = false;
  for (std::size_t i = at; i < at + chunk_bytes; ++i) {
    const Class what = fold.classify(text, i);
    if (what == Class::other) return false;
    kept = kept || what == Class::kept;
  }
  return kept;
}

// A region of 15 bytes and more contains a chunk whatever its alignment, and one of 16 digits such
// a chunk with a digit.
std::size_t find_digits_chunk(const MaskFold& fold, std::string_view text, std::size_t at) {
  for (; at + 2 * chunk_bytes <= text.size(); at += 2 * chunk_bytes) {
    const auto [first, second] = halves(may_be_digits(load_mask_bytes(text.data() + at)));
    if (first == UINT64_MAX && is_digits_chunk(fold, text, at)) return at;
    if (second == UINT64_MAX && is_digits_chunk(fold, text, at + chunk_bytes))
      return at + chunk_bytes;
  }
  for (; at + chunk_bytes <= text.size(); at += chunk_bytes)
    if (is_digits_chunk(fold, text, at)) return at;
  return text.size();
}

struct FoldedHits final : FoldedSearch::Hits {
  FoldedHits(const MaskTable& table_, std::uint64_t fresh_, MaskFindings& findings_)
      : table(table_), fresh(fresh_), findings(findings_) {}
  void folded_hit(const FoldedSearch& search, const MaskMatch& match) override {
    // A region may begin with bytes that were read before: what ends there is known.
    if (match.end > fresh) findings.found(table, match, &search);
  }
  const MaskTable& table;
  std::uint64_t fresh;
  MaskFindings& findings;
};

}  // namespace

MaskSearch::MaskSearch(const MaskerPatterns::Automaton& automaton)
    : automaton_(&automaton),
      cursors_(automaton.plain.set.start()),
      lines_(MaskFold::lines(), automaton.plain.set),
      indented_(MaskFold::indented_lines(), automaton.plain.set),
      digits_(MaskFold::digits(), automaton.digits.set) {}

void MaskSearch::drop_front(std::size_t bytes) {
  for (MaskLane::Cursor& cursor : cursors_) cursor.drop_front(bytes);
}

std::size_t MaskSearch::read(std::string_view text, std::size_t fresh, std::uint64_t base,
                             MaskFindings& findings) {
  read_plain(text, base, findings);
  if (!lines_.set().lanes().empty()) {
    read_lines(text, fresh, base, findings);
    read_indented(text, fresh, base, findings);
  }
  if (!digits_.set().lanes().empty()) read_digits(text, fresh, base, findings);

  struct Tokens final : TokenHits {
    explicit Tokens(MaskFindings& findings_) : findings(findings_) {}
    void token(std::uint64_t begin, std::uint64_t end) override {
      findings.found_token(begin, end);
    }
    MaskFindings& findings;
  } tokens(findings);
  tokens_.read(text, fresh, base, tokens);

  const std::uint64_t end = base + text.size();
  std::uint64_t open = std::min({lines_.open_from(end), indented_.open_from(end),
                                 digits_.open_from(end), tokens_.open_from(end)});
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    const MaskLane& lane = automaton_->plain.set.lanes()[i];
    open = std::min<std::uint64_t>(open, end - lane.open_bytes(text, cursors_[i]));
  }
  return static_cast<std::size_t>(end - open);
}

void MaskSearch::read_plain(std::string_view text, std::uint64_t base, MaskFindings& findings) {
  struct Hits final : MaskHits {
    void hit(std::size_t end, const MaskTrie& trie, const MaskTrie::Output& longest) override {
      findings->found(*table, {.end = base + end, .trie = &trie, .longest = &longest}, nullptr);
    }
    const MaskTable* table = nullptr;
    MaskFindings* findings = nullptr;
    std::uint64_t base = 0;
  } hits;
  hits.table = &automaton_->plain;
  hits.findings = &findings;
  hits.base = base;
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    automaton_->plain.set.lanes()[i].scan(text, cursors_[i], hits);
  }
}

// Unbroken spellings are found as they are, so a region begins with the bytes before its first
// break. If one of them begins what is broken there, it was open: it is still in the text.
void MaskSearch::read_lines(std::string_view text, std::size_t fresh, std::uint64_t base,
                            MaskFindings& findings) {
  FoldedHits hits(automaton_->plain, base + fresh, findings);
  std::size_t at = fresh;
  if (lines_.active()) at = lines_.run(text, at, base, hits);
  for (;;) {
    const std::size_t place = find_break(text, at);
    if (place == text.size()) return;
    std::size_t begin = place;
    while (begin > 0 && lines_.fold().classify(text, begin - 1) == Class::kept) --begin;
    at = begin == place ? place + 1 : lines_.run(text, begin, base, hits);
  }
}

// What is not indented the other search finds, and it keeps open what comes before the first
// margin.
void MaskSearch::read_indented(std::string_view text, std::size_t fresh, std::uint64_t base,
                               MaskFindings& findings) {
  const MaskFold& fold = indented_.fold();
  FoldedHits hits(automaton_->plain, base + fresh, findings);
  std::size_t at = fresh;
  if (indented_.active()) at = indented_.run(text, at, base, hits);
  for (;;) {
    const std::size_t place = find_margin(text, at);
    if (place == text.size()) return;
    const std::size_t begin = first_kept(fold, text, place);
    at = begin == place ? place + 1 : indented_.run(text, begin, base, hits);
  }
}

void MaskSearch::read_digits(std::string_view text, std::size_t fresh, std::uint64_t base,
                             MaskFindings& findings) {
  FoldedHits hits(automaton_->digits, base + fresh, findings);
  std::size_t at = fresh;
  if (digits_.active()) at = digits_.run(text, at, base, hits);
  const auto region_begin = [&](std::size_t place) {
    while (place > at && digits_.fold().classify(text, place - 1) != Class::other) --place;
    return place;
  };
  for (;;) {
    const std::size_t place = find_digits_chunk(digits_.fold(), text, at);
    if (place == text.size()) break;
    at = digits_.run(text, region_begin(place), base, hits);
  }
  if (digits_.active()) return;
  // However short, it may go on.
  if (const std::size_t begin = region_begin(text.size()); begin < text.size())
    digits_.run(text, begin, base, hits);
}

std::size_t max_open_bytes(const MaskerPatterns::Automaton& automaton) {
  const auto folded = [](const MaskFold& fold, const MaskPatternSet& set) {
    return set.max_open_bytes() * (1 + fold.max_dropped());
  };
  return std::max({automaton.plain.set.max_open_bytes(),
                   folded(MaskFold::lines(), automaton.plain.set),
                   folded(MaskFold::indented_lines(), automaton.plain.set),
                   folded(MaskFold::digits(), automaton.digits.set), TokenSearch::max_open_bytes});
}

}  // namespace flow_runner
