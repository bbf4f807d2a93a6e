#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string.h>
#include <utility>

#include "executor/mask_automaton.hpp"
#include "executor/mask_search.hpp"
#include "executor/masker.hpp"

namespace flow_runner {
namespace {

using Automaton = MaskerPatterns::Automaton;

constexpr std::size_t block_bytes = 64 * 1024;

struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::uint64_t begin_of(const MaskMatch& match, const FoldedSearch* folded, std::size_t bytes) {
  return folded != nullptr ? folded->begin_of_hit(bytes) : match.end - bytes;
}

// The spans of each secret, overlapping ones merged as far as their ends come in order.
struct FoundSpans final : MaskFindings {
  FoundSpans(const Automaton& patterns, std::size_t least_bytes)
      : automaton(patterns), min_bytes(least_bytes) {}

  void found(const MaskTable& table, const MaskMatch& match, const FoldedSearch* folded) override {
    table.for_each_secret(
        *match.trie, *match.longest, min_bytes,
        [&](std::uint32_t secret, std::size_t bytes, std::size_t) {
          std::vector<Span>& spans = by_secret[secret];
          const auto end = static_cast<std::size_t>(match.end);
          const auto begin = static_cast<std::size_t>(begin_of(match, folded, bytes));
          if (!spans.empty() && spans.back().end > begin && spans.back().end <= end) {
            spans.back().begin = std::min(spans.back().begin, begin);
            spans.back().end = end;
          } else {
            spans.push_back({begin, end});
          }
        });
  }
  void found_token(std::uint64_t, std::uint64_t) override {}

  const Automaton& automaton;
  std::size_t min_bytes;
  std::map<std::uint32_t, std::vector<Span>> by_secret;
};

}  // namespace

std::vector<MaskerPatterns::Hit> MaskerPatterns::find(std::string_view text,
                                                      std::size_t min_bytes) const {
  FoundSpans spans(*automaton_, min_bytes);
  MaskSearch(*automaton_).read(text, 0, 0, spans);

  std::vector<Hit> hits;
  for (auto& [secret, found] : spans.by_secret) {
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

struct SecretScanner::Stream final : MaskFindings {
  Stream(const Automaton& patterns, std::size_t least_bytes)
      : automaton(patterns), min_bytes(least_bytes), search(patterns) {}
  ~Stream() { explicit_bzero(window.data(), window.size()); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void found(const MaskTable& table, const MaskMatch& match, const FoldedSearch* folded) override {
    table.for_each_secret(*match.trie, *match.longest, min_bytes,
                          [&](std::uint32_t secret, std::size_t bytes, std::size_t newlines) {
                            if (findings.size() >= max_findings) return;
                            const auto end = static_cast<std::size_t>(match.end - base);
                            if (folded != nullptr) {
                              // What is open stays in the window, so the beginning is there.
                              const auto begin =
                                  static_cast<std::size_t>(folded->begin_of_hit(bytes) - base);
                              newlines = static_cast<std::size_t>(count_lines(begin, end));
                            }
                            findings.insert({line_at(end) - newlines, automaton.names[secret]});
                          });
  }
  void found_token(std::uint64_t begin, std::uint64_t end) override {
    // A private key is told line by line: only its first is a finding.
    if ((!token_end || begin > *token_end + 2) && tokens.size() < max_findings)
      tokens.insert(line_at(static_cast<std::size_t>(begin - base)));
    token_end = end;
  }

  // Mostly the next end is the next one in the text.
  std::uint64_t line_at(std::size_t end) {
    if (end >= counted_bytes)
      counted_line += count_lines(counted_bytes, end);
    else
      counted_line -= count_lines(end, counted_bytes);
    counted_bytes = end;
    return counted_line;
  }

  std::uint64_t count_lines(std::size_t begin, std::size_t end) const {
    const std::string_view text = std::string_view(window).substr(begin, end - begin);
    return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  }

  void write(std::string_view text) {
    for (; !text.empty() && findings.size() < max_findings;
         text.remove_prefix(std::min(text.size(), block_bytes))) {
      // At least as many bytes leave as move up.
      const std::size_t kept = std::max(open, std::min(window.size(), MaskSearch::look_back_bytes));
      if (const std::size_t dropped = window.size() - kept; dropped >= kept) {
        line += count_lines(0, dropped);
        window.erase(0, dropped);
        search.drop_front(dropped);
        base += dropped;
      }
      counted_bytes = 0;
      counted_line = line;
      const std::size_t fresh = window.size();
      window.append(text.substr(0, block_bytes));
      open = search.read(window, fresh, base, *this);
    }
  }

  const Automaton& automaton;
  std::size_t min_bytes;
  MaskSearch search;
  std::string window;      // the current block, and what the search needs of those before
  std::uint64_t base = 0;  // the window's place in the stream
  std::size_t open = 0;
  std::uint64_t line = 1;  // at the window's beginning
  std::size_t counted_bytes = 0;
  std::uint64_t counted_line = 1;
  std::set<std::pair<std::uint64_t, std::string>> findings;
  std::set<std::uint64_t> tokens;
  std::optional<std::uint64_t> token_end;
};

SecretScanner::SecretScanner(std::shared_ptr<const MaskerPatterns> patterns, std::size_t min_bytes)
    : patterns_(std::move(patterns)),
      stream_(std::make_unique<Stream>(patterns_->automaton(), min_bytes)) {}

SecretScanner::SecretScanner(SecretScanner&&) noexcept = default;
SecretScanner& SecretScanner::operator=(SecretScanner&&) noexcept = default;
SecretScanner::~SecretScanner() = default;

void SecretScanner::write(std::string_view text) { stream_->write(text); }

std::vector<std::uint64_t> SecretScanner::suspect_lines() const {
  return {stream_->tokens.begin(), stream_->tokens.end()};
}

std::vector<SecretScanner::Finding> SecretScanner::finish() {
  std::vector<Finding> findings;
  for (const auto& [line, name] : stream_->findings) findings.push_back({name, line});
  stream_ = std::make_unique<Stream>(patterns_->automaton(), stream_->min_bytes);
  return findings;
}

}  // namespace flow_runner
