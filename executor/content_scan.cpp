#include "executor/content_scan.hpp"

#include <algorithm>

#include "config/quoted_path.hpp"

namespace flow_runner {

ContentScan::ContentScan(std::shared_ptr<const MaskerPatterns> patterns)
    : patterns_(std::move(patterns)) {}

void ContentScan::begin(ContentKind kind, std::string_view commit, std::string_view path,
                        std::uint64_t) {
  end_piece();
  place_ = {.variable = {},
            .kind = kind,
            .commit = std::string(commit),
            .path = std::string(path),
            .line = 0};
  scanner_.emplace(patterns_, min_secret_bytes);
  if (kind != ContentKind::path) return;
  if (paths_.size() < max_paths)
    paths_.emplace_back(path);
  else
    overflowed_ = true;
}

void ContentScan::bytes(std::string_view bytes) {
  if (scanner_) scanner_->write(bytes);
}

void ContentScan::finish() { end_piece(); }

void ContentScan::end_piece() {
  if (!scanner_) return;
  for (const auto& finding : scanner_->finish()) {
    if (leaks_.size() >= max_findings) break;
    LeakedSecret leak = place_;
    leak.variable = finding.name;
    leak.line = finding.line;
    // Before anybody quotes it: a quoted secret is another text, which the masker does not know.
    leak.path = mask_text(*patterns_, leak.path);
    leaks_.push_back(std::move(leak));
  }
  scanner_.reset();
}

std::string describe(const std::vector<LeakedSecret>& leaks) {
  if (leaks.empty()) return {};
  constexpr std::size_t named = 5;
  std::string text = "the changes contain the value of a secret: ";
  for (std::size_t i = 0; i < std::min(leaks.size(), named); ++i) {
    const auto& leak = leaks[i];
    if (i > 0) text += "; ";
    text += leak.variable + " in ";
    if (leak.kind == ContentKind::message)
      text += "the message";
    else if (leak.kind == ContentKind::path)
      text += "a path";
    else
      text += quote_path(leak.path) + " line " + std::to_string(leak.line);
    text += " of commit " + leak.commit.substr(0, 12);
  }
  if (leaks.size() > named) text += "; and " + std::to_string(leaks.size() - named) + " more";
  return text +
         ". Nothing was pushed. Revoke the secret if others could see it, and remove it from the "
         "commits";
}

}  // namespace flow_runner
