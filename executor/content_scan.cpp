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

LeakedSecret ContentScan::place_at(std::uint64_t line) const {
  LeakedSecret place = place_;
  place.line = line;
  // Before anybody quotes it: a quoted secret is another text, which the masker does not know.
  place.path = mask_text(*patterns_, place.path);
  return place;
}

void ContentScan::end_piece() {
  if (!scanner_) return;
  for (const auto line : scanner_->suspect_lines())
    if (suspects_.size() < max_findings) suspects_.push_back(place_at(line));
  for (const auto& finding : scanner_->finish()) {
    if (leaks_.size() >= max_findings) break;
    leaks_.push_back(place_at(finding.line));
    leaks_.back().variable = finding.name;
  }
  scanner_.reset();
}

namespace {

constexpr std::size_t named = 5;

std::string place_of(const LeakedSecret& found) {
  std::string text;
  if (found.kind == ContentKind::message)
    text = "the message";
  else if (found.kind == ContentKind::path)
    text = "a path";
  else
    text = quote_path(found.path) + " line " + std::to_string(found.line);
  return text + " of commit " + found.commit.substr(0, 12);
}

/// The first few, and how many more there are.
std::string list_of(const std::vector<LeakedSecret>& all) {
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), named); ++i) {
    if (i > 0) text += "; ";
    if (!all[i].variable.empty()) text += all[i].variable + " in ";
    text += place_of(all[i]);
  }
  if (all.size() > named) text += "; and " + std::to_string(all.size() - named) + " more";
  return text;
}

}  // namespace

std::string describe(const std::vector<LeakedSecret>& leaks) {
  if (leaks.empty()) return {};
  return "the changes contain the value of a secret: " + list_of(leaks) +
         ". Nothing was pushed. Revoke the secret if others could see it, and remove it from the "
         "commits";
}

std::string describe_suspects(const std::vector<LeakedSecret>& suspects) {
  if (suspects.empty()) return {};
  return "the changes contain what looks like a credential: " + list_of(suspects) +
         ". It does not stop a push, for nobody named it as a secret; if it is real, revoke it";
}

}  // namespace flow_runner
