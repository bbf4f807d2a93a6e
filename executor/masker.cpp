#include "executor/masker.hpp"

#include <algorithm>
#include <deque>
#include <string.h>
#include <utility>

#include "executor/mask_automaton.hpp"
#include "executor/mask_search.hpp"
#include "executor/secret_forms.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view mask = "[MASKED]";
// Fits the second-level cache together with the tables.
constexpr std::size_t block_bytes = 64 * 1024;

struct OwnedPattern {
  SecretPattern pattern;
  std::uint32_t secret = 0;
};

struct Interval {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Appends to disjoint intervals in order one that begins before none but the last ones, and merges.
template <class Intervals>
void add_interval(Intervals& intervals, std::size_t first, Interval added) {
  while (intervals.size() > first && intervals.back().begin >= added.begin) {
    added.end = std::max(added.end, intervals.back().end);
    intervals.pop_back();
  }
  if (intervals.size() > first && intervals.back().end >= added.begin)
    intervals.back().end = std::max(added.end, intervals.back().end);
  else
    intervals.push_back(added);
}

void sort_patterns(std::vector<OwnedPattern>& patterns) {
  std::sort(patterns.begin(), patterns.end(), [](const OwnedPattern& a, const OwnedPattern& b) {
    if (const int order = a.pattern.bytes.compare(b.pattern.bytes); order != 0) return order < 0;
    if (a.secret != b.secret) return a.secret < b.secret;
    return a.pattern.raw_bytes > b.pattern.raw_bytes;
  });
}

// Overwrites the patterns when it is done.
MaskTable make_table(std::vector<OwnedPattern> all) {
  sort_patterns(all);
  std::vector<std::string_view> distinct;
  std::vector<MaskTable::Pattern> patterns;
  std::vector<MaskTable::Owner> owners;
  for (const OwnedPattern& owned : all) {
    const std::string_view bytes = owned.pattern.bytes;
    const bool known = !distinct.empty() && distinct.back() == bytes;
    if (!known) {
      distinct.push_back(bytes);
      patterns.push_back(
          {.first_owner = static_cast<std::uint32_t>(owners.size()),
           .newlines = static_cast<std::uint32_t>(std::count(bytes.begin(), bytes.end(), '\n'))});
    } else if (owners.back().secret == owned.secret) {
      continue;
    }
    owners.push_back({.secret = owned.secret, .raw_bytes = owned.pattern.raw_bytes});
  }
  patterns.push_back({.first_owner = static_cast<std::uint32_t>(owners.size())});
  MaskTable table{.set = MaskPatternSet(distinct),
                  .patterns = std::move(patterns),
                  .owners = std::move(owners)};
  for (OwnedPattern& owned : all)
    explicit_bzero(owned.pattern.bytes.data(), owned.pattern.bytes.size());
  return table;
}

}  // namespace

std::shared_ptr<const MaskerPatterns> MaskerPatterns::compile(
    const std::vector<MaskedValue>& values) {
  std::vector<OwnedPattern> plain;
  std::vector<OwnedPattern> digits;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < values.size(); ++i) {
    names.push_back(values[i].name);
    for (SecretPattern& pattern : secret_patterns(values[i])) {
      auto& patterns = pattern.kind == SecretPattern::Kind::digits ? digits : plain;
      patterns.push_back({std::move(pattern), static_cast<std::uint32_t>(i)});
    }
  }
  return std::make_shared<MaskerPatterns>(
      std::make_unique<Automaton>(Automaton{.plain = make_table(std::move(plain)),
                                            .digits = make_table(std::move(digits)),
                                            .names = std::move(names)}));
}

MaskerPatterns::MaskerPatterns(std::unique_ptr<const Automaton> automaton)
    : automaton_(std::move(automaton)) {}

MaskerPatterns::~MaskerPatterns() = default;

std::size_t MaskerPatterns::max_held_bytes() const noexcept { return max_open_bytes(*automaton_); }

// A byte is *final* when no pattern that is still open contains it. Final bytes leave at once: as
// they are, or as the mask of their run. A run's mask leaves with its first byte, so a run may go
// on for ever.
struct Masker::Stream final : MaskFindings {
  explicit Stream(const MaskerPatterns::Automaton& patterns)
      : automaton(patterns), search(patterns) {}
  ~Stream() { explicit_bzero(buffer.data(), buffer.size()); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void found(const MaskTable&, const MaskMatch& match, const FoldedSearch* folded) override {
    const std::size_t bytes = match.longest->bytes;
    const std::uint64_t begin = folded != nullptr ? folded->begin_of_hit(bytes) : match.end - bytes;
    // Merged at once as far as the ends come in order: of a secret that repeats itself there are
    // many.
    if (match.end < last_end) pass_begin = found_now.size();
    last_end = match.end;
    add_interval(found_now, pass_begin, {begin, match.end});
  }
  void found_token(std::uint64_t begin, std::uint64_t end) override {
    found_now.push_back({begin, end});
    pass_begin = found_now.size();
  }

  void write(std::string_view input, std::string& out) {
    for (; !input.empty(); input.remove_prefix(std::min(input.size(), block_bytes))) {
      drop_emitted();
      const std::size_t fresh = buffer.size();
      buffer.append(input.substr(0, block_bytes));
      emit(buffer.size() - scan(fresh), out);
    }
  }

  void flush(std::string& out) {
    emit(buffer.size(), out);
    explicit_bzero(buffer.data(), buffer.size());
    buffer.clear();
    covered.clear();
    search = MaskSearch(automaton);
    emitted = 0;
    base = 0;
    run_end = no_run;
  }

  // At least as many bytes leave as move up: linear in all, however small the writes.
  void drop_emitted() {
    const std::size_t dropped = emitted - std::min(emitted, MaskSearch::look_back_bytes);
    if (dropped < buffer.size() - dropped) return;
    buffer.erase(0, dropped);
    search.drop_front(dropped);
    base += dropped;
    emitted -= dropped;
  }

  // Returns how many bytes at the end are not final.
  std::size_t scan(std::size_t fresh) {
    found_now.clear();
    pass_begin = 0;
    last_end = 0;
    const std::size_t open = search.read(buffer, fresh, base, *this);
    std::sort(found_now.begin(), found_now.end(),
              [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    // All of them end in new bytes: what was known and begins later lies within.
    for (const Interval& interval : found_now) add_interval(covered, 0, interval);
    return open;
  }

  void emit(std::size_t until, std::string& out) {
    while (emitted < until) {
      if (covered.empty() || covered.front().begin >= base + until) {
        out.append(buffer, emitted, until - emitted);
        emitted = until;
        return;
      }
      const Interval run = covered.front();
      if (run.begin > base + emitted) {
        out.append(buffer, emitted, static_cast<std::size_t>(run.begin - base) - emitted);
        emitted = static_cast<std::size_t>(run.begin - base);
      }
      if (run_end == no_run || run.begin > run_end) out += mask;
      run_end = run.end;
      emitted = std::min(static_cast<std::size_t>(run.end - base), until);
      if (run.end <= base + until) covered.pop_front();
    }
  }

  static constexpr std::uint64_t no_run = UINT64_MAX;

  const MaskerPatterns::Automaton& automaton;
  MaskSearch search;
  std::string buffer;            // emitted bytes that were not dropped yet, and held ones
  std::size_t emitted = 0;       // in buffer
  std::uint64_t base = 0;        // the buffer's place in the stream; intervals count in the stream
  std::deque<Interval> covered;  // disjoint, in order; none ends at or before an emitted byte
  std::vector<Interval> found_now;  // in this block
  std::size_t pass_begin = 0;       // the first one since the ends last went back
  std::uint64_t last_end = 0;
  std::uint64_t run_end = no_run;  // of the last run that was masked, as far as it is known
};

Masker::Masker(std::shared_ptr<const MaskerPatterns> patterns)
    : patterns_(std::move(patterns)), stream_(std::make_unique<Stream>(patterns_->automaton())) {}

Masker::Masker(Masker&&) noexcept = default;
Masker& Masker::operator=(Masker&&) noexcept = default;
Masker::~Masker() = default;

void Masker::write(std::string_view input, std::string& out) { stream_->write(input, out); }

void Masker::flush(std::string& out) { stream_->flush(out); }

std::string mask_text(const MaskerPatterns& patterns, std::string_view text) {
  std::string out;
  Masker::Stream stream(patterns.automaton());
  stream.write(text, out);
  stream.flush(out);
  return out;
}

}  // namespace flow_runner
