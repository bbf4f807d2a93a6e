#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "executor/mask_automaton.hpp"
#include "executor/masker.hpp"

namespace flow_runner {
namespace {

using Automaton = MaskerPatterns::Automaton;

// As far back as a lane looks that is not within a pattern: see MaskLane::scan.
constexpr std::size_t looked_back_bytes = 15;
constexpr std::size_t block_bytes = 64 * 1024;

struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The spans of each secret, overlapping ones merged as far as their ends come in order.
struct FoundSpans final : MaskHits {
  FoundSpans(const Automaton& patterns, std::size_t least_bytes)
      : automaton(patterns), min_bytes(least_bytes) {}

  void hit(std::size_t end, const MaskTrie& trie, const MaskTrie::Output& longest) override {
    automaton.for_each_secret(
        trie, longest, min_bytes, [&](std::uint32_t secret, std::size_t bytes, std::size_t) {
          std::vector<Span>& spans = found[secret];
          const std::size_t begin = end - bytes;
          if (!spans.empty() && spans.back().end > begin && spans.back().end <= end) {
            spans.back().begin = std::min(spans.back().begin, begin);
            spans.back().end = end;
          } else {
            spans.push_back({begin, end});
          }
        });
  }

  const Automaton& automaton;
  std::size_t min_bytes;
  std::map<std::uint32_t, std::vector<Span>> found;
};

}  // namespace

std::vector<MaskerPatterns::Hit> MaskerPatterns::find(std::string_view text,
                                                      std::size_t min_bytes) const {
  FoundSpans spans(*automaton_, min_bytes);
  auto cursors = automaton_->set.start();
  for (std::size_t i = 0; i < cursors.size(); ++i)
    automaton_->set.lanes()[i].scan(text, cursors[i], spans);

  std::vector<Hit> hits;
  for (auto& [secret, found] : spans.found) {
    std::sort(found.begin(), found.end(),
              [](const Span& a, const Span& b) { return a.begin < b.begin; });
    const std::size_t first = hits.size();
    for (const Span& span : found) {
      if (hits.size() > first && hits.back().end > span.begin)
        hits.back().end = std::max(hits.back().end, span.end);
      else
        hits.push_back({span.begin, span.end, automaton_->names[secret]});
    }
  }
  std::stable_sort(hits.begin(), hits.end(),
                   [](const Hit& a, const Hit& b) { return a.begin < b.begin; });
  return hits;
}

struct SecretScanner::Stream final : MaskHits {
  Stream(const Automaton& patterns, std::size_t least_bytes)
      : automaton(patterns), min_bytes(least_bytes), cursors(patterns.set.start()) {}

  void hit(std::size_t end, const MaskTrie& trie, const MaskTrie::Output& longest) override {
    automaton.for_each_secret(trie, longest, min_bytes,
                              [&](std::uint32_t secret, std::size_t, std::size_t newlines) {
                                if (found.size() < max_findings)
                                  found.insert({line_at(end) - newlines, automaton.names[secret]});
                              });
  }

  // Ends never decrease within a lane, so each lane counts a block's lines at most once.
  std::uint64_t line_at(std::size_t end) {
    counted_line += count_lines(counted_bytes, end);
    counted_bytes = end;
    return counted_line;
  }

  std::uint64_t count_lines(std::size_t begin, std::size_t end) const {
    const std::string_view text = std::string_view(window).substr(begin, end - begin);
    return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  }

  void write(std::string_view text) {
    for (; !text.empty() && found.size() < max_findings;
         text.remove_prefix(std::min(text.size(), block_bytes))) {
      const std::size_t old_bytes = std::min(window.size(), looked_back_bytes);
      const std::size_t dropped = window.size() - old_bytes;
      window.erase(0, dropped);
      window.append(text.substr(0, block_bytes));
      for (std::size_t i = 0; i < cursors.size(); ++i) {
        cursors[i].drop_front(dropped);
        counted_bytes = old_bytes;
        counted_line = line;
        automaton.set.lanes()[i].scan(window, cursors[i], *this);
      }
      line += count_lines(old_bytes, window.size());
    }
  }

  const Automaton& automaton;
  std::size_t min_bytes;
  MaskPatternSet::Cursors cursors;
  std::string window;      // the current block, and what a lane may look back at
  std::uint64_t line = 1;  // at the end of the block before
  std::size_t counted_bytes = 0;
  std::uint64_t counted_line = 1;
  std::set<std::pair<std::uint64_t, std::string>> found;
};

SecretScanner::SecretScanner(std::shared_ptr<const MaskerPatterns> patterns, std::size_t min_bytes)
    : patterns_(std::move(patterns)),
      stream_(std::make_unique<Stream>(patterns_->automaton(), min_bytes)) {}

SecretScanner::SecretScanner(SecretScanner&&) noexcept = default;
SecretScanner& SecretScanner::operator=(SecretScanner&&) noexcept = default;
SecretScanner::~SecretScanner() = default;

void SecretScanner::write(std::string_view text) { stream_->write(text); }

std::vector<SecretScanner::Finding> SecretScanner::finish() {
  std::vector<Finding> findings;
  for (const auto& [line, name] : stream_->found) findings.push_back({name, line});
  stream_ = std::make_unique<Stream>(patterns_->automaton(), stream_->min_bytes);
  return findings;
}

}  // namespace flow_runner
