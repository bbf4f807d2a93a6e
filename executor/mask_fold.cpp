#include "executor/mask_fold.hpp"

#include <algorithm>
#include <string.h>

namespace flow_runner {
namespace {

constexpr std::string_view letters_and_numbers =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
// What is kept of a long region besides open bytes: a lane looks back at less.
constexpr std::size_t kept_bytes = 32;
constexpr std::size_t trimmed_from_bytes = 4096;
// The lanes of patterns that are long enough for either fold.
constexpr std::size_t least_head_bytes = 8;
constexpr std::size_t max_break_bytes = 24;  // a margin included

bool begins_line(std::string_view text, std::size_t at) {
  return at > 0 &&
         (text[at - 1] == '\n' || (text[at - 1] == 'n' && at > 1 && text[at - 2] == '\\'));
}

}  // namespace

void MaskFold::set(std::string_view bytes, Class plain, Class escaped) {
  for (const char c : bytes) {
    rules_[static_cast<unsigned char>(c)] = {.plain = plain, .escaped = escaped};
    always_kept_[static_cast<unsigned char>(c)] = plain == Class::kept && escaped == Class::kept;
  }
}

std::size_t MaskFold::append_kept(std::string_view text, std::size_t at, std::string& out) const {
  std::size_t end = at + 1;
  while (end < text.size() && always_kept_[static_cast<unsigned char>(text[end])]) ++end;
  const std::size_t old_bytes = out.size();
  out.append(text, at, end - at);
  if (lower_case_)
    for (std::size_t i = old_bytes; i < out.size(); ++i)
      if (out[i] >= 'A' && out[i] <= 'F') out[i] = static_cast<char>(out[i] - 'A' + 'a');
  return end;
}

const MaskFold& MaskFold::lines() {
  static const MaskFold fold = [] {
    MaskFold made(8, max_break_bytes);
    made.set(letters_and_numbers, Class::kept, Class::kept);
    made.set("+/-_=", Class::kept, Class::kept);
    made.set("nr", Class::kept, Class::dropped);
    made.set("\n\r\\", Class::dropped, Class::dropped);
    return made;
  }();
  return fold;
}

const MaskFold& MaskFold::indented_lines() {
  static const MaskFold fold = [] {
    MaskFold made(8, max_break_bytes);
    made.set(letters_and_numbers, Class::kept, Class::kept);
    made.set("+/-_=", Class::kept, Class::kept);
    made.set("nr", Class::kept, Class::dropped);
    made.set("\n\r\\", Class::dropped, Class::dropped);
    for (const unsigned char c : {'+', '-', ' ', '\t'}) {
      made.rules_[c].margin = true;
      made.always_kept_[c] = false;
    }
    return made;
  }();
  return fold;
}

const MaskFold& MaskFold::digits() {
  static const MaskFold fold = [] {
    // A line of a C array may be indented by eight.
    MaskFold made(16, 14);
    made.set("0123456789abcdef", Class::kept, Class::kept);
    made.set("ABCDEF", Class::kept, Class::kept);
    made.lower_case_ = true;
    made.set(" \t\r\n:,-;%&#xX\\", Class::dropped, Class::dropped);
    made.set("nrtu", Class::other, Class::dropped);
    return made;
  }();
  return fold;
}

// A mark, and blanks up to the byte; the byte itself is one of them.
bool MaskFold::is_in_margin(std::string_view text, std::size_t at) noexcept {
  if (begins_line(text, at)) return true;
  if (text[at] == '+' || text[at] == '-') return false;
  for (std::size_t bytes = 0; at > 0 && bytes < max_break_bytes; ++bytes) {
    const char before = text[--at];
    if (begins_line(text, at))
      return before == ' ' || before == '\t' || before == '+' || before == '-';
    if (before != ' ' && before != '\t') return false;
  }
  return false;
}

FoldedSearch::~FoldedSearch() { explicit_bzero(folded_.data(), folded_.size()); }

void FoldedSearch::forget() {
  explicit_bzero(folded_.data(), folded_.size());
  folded_.clear();
  pieces_.clear();
  cursors_.assign(set_->lanes().size(), {});
}

std::size_t FoldedSearch::run(std::string_view text, std::size_t at, std::uint64_t base,
                              Hits& hits) {
  if (!active_) {
    forget();
    dropped_ = 0;
    active_ = true;
  }
  bool broken = true;
  while (at < text.size()) {
    const MaskFold::Class what = fold_->classify(text, at);
    if (what == MaskFold::Class::other) break;
    if (what == MaskFold::Class::kept) {
      if (broken) pieces_.push_back({folded_.size(), base + at});
      broken = false;
      dropped_ = 0;
      at = fold_->append_kept(text, at, folded_);
      continue;
    }
    ++at;
    broken = true;
    if (++dropped_ > fold_->max_dropped() && !folded_.empty()) {
      search(hits);
      forget();
    }
  }
  search(hits);
  if (at < text.size()) {
    active_ = false;
    return at;
  }
  trim();
  return at;
}

void FoldedSearch::search(Hits& hits) {
  if (folded_.size() < fold_->min_pattern_bytes()) return;
  struct Found final : MaskHits {
    Found(FoldedSearch& search_, Hits& hits_) : search(search_), hits(hits_) {}
    void hit(std::size_t end, const MaskTrie& trie, const MaskTrie::Output& longest) override {
      search.hit_end_ = end;
      hits.folded_hit(search,
                      {.end = search.place(end - 1) + 1, .trie = &trie, .longest = &longest});
    }
    FoldedSearch& search;
    Hits& hits;
  } found(*this, hits);
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    const MaskLane& lane = set_->lanes()[i];
    if (lane.head_bytes() >= least_head_bytes) lane.scan(folded_, cursors_[i], found);
  }
}

std::uint64_t FoldedSearch::place(std::size_t folded) const noexcept {
  const auto after =
      std::upper_bound(pieces_.begin(), pieces_.end(), folded,
                       [](std::size_t at, const Piece& piece) { return at < piece.folded; });
  const Piece& piece = *std::prev(after);
  return piece.place + (folded - piece.folded);
}

std::size_t FoldedSearch::open_bytes() const noexcept {
  std::size_t open = 0;
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    const MaskLane& lane = set_->lanes()[i];
    if (lane.head_bytes() >= least_head_bytes)
      open = std::max(open, lane.open_bytes(folded_, cursors_[i]));
  }
  return open;
}

std::uint64_t FoldedSearch::open_from(std::uint64_t end) const noexcept {
  const std::size_t open = active_ ? open_bytes() : 0;
  return open == 0 ? end : place(folded_.size() - open);
}

void FoldedSearch::trim() {
  if (folded_.size() < trimmed_from_bytes) return;
  const std::size_t kept = std::max(open_bytes(), kept_bytes);
  if (folded_.size() < 2 * kept) return;
  const std::size_t dropped = folded_.size() - kept;
  const std::uint64_t front = place(dropped);
  folded_.erase(0, dropped);
  for (MaskLane::Cursor& cursor : cursors_) cursor.drop_front(dropped);
  std::vector<Piece> rest = {{0, front}};
  for (const Piece& piece : pieces_)
    if (piece.folded > dropped) rest.push_back({piece.folded - dropped, piece.place});
  pieces_ = std::move(rest);
}

}  // namespace flow_runner
