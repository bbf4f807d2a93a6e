// Fixes: the edits of findings, put into the file together.
#include <algorithm>
#include <optional>
#include <utility>

#include "config/flow_file.hpp"
#include "config/lint/lint.hpp"
#include "config/lint/subject.hpp"

namespace flow_runner::lint {
namespace {

// A fix can bring the next one to light; one that always does so would be a defect.
constexpr int max_rounds = 6;
// Of those that are tried one by one when all together do harm.
constexpr std::size_t max_tried_alone = 20;

/// How good a file is as a flow: a fix must not make it worse.
struct Quality {
  bool is_flow = false;
  std::size_t diagnostics = 0;
  std::size_t unread_commands = 0;

  [[nodiscard]] bool is_as_good_as(const Quality& other) const {
    return is_flow >= other.is_flow && diagnostics <= other.diagnostics &&
           unread_commands <= other.unread_commands;
  }
};

Quality quality_of(std::string_view bytes) {
  const FlowFile file = parse_flow(bytes, {});
  Quality quality{file.flow.has_value(), file.diagnostics.size(), 0};
  if (file.flow) {
    for (const std::string& command : file.flow->commands)
      quality.unread_commands += read_shell(command).problem.has_value();
  }
  return quality;
}

bool overlap(const Edit& a, const Edit& b) {
  // Two insertions at one place have no order.
  if (a.begin == b.begin) return true;
  return a.begin < b.end && b.begin < a.end;
}

bool fits(const std::vector<Edit>& fix, const std::vector<Edit>& taken) {
  return std::none_of(fix.begin(), fix.end(), [&](const Edit& edit) {
    return std::any_of(taken.begin(), taken.end(),
                       [&](const Edit& other) { return overlap(edit, other); });
  });
}

std::string apply(std::string_view bytes, std::vector<Edit> edits) {
  std::sort(edits.begin(), edits.end(),
            [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  std::string out;
  std::size_t at = 0;
  for (const Edit& edit : edits) {
    out += bytes.substr(at, edit.begin - at);
    out += edit.text;
    at = edit.end;
  }
  return out + std::string(bytes.substr(at));
}

std::size_t removed_bytes(const std::vector<Edit>& fix) {
  std::size_t bytes = 0;
  for (const Edit& edit : fix) bytes += edit.text.empty() ? edit.end - edit.begin : 0;
  return bytes;
}

/// One round; absent when nothing could be done.
std::optional<std::string> fix_once(std::string_view bytes) {
  std::vector<std::vector<Edit>> fixes;
  for (Finding& finding : lint_flow(bytes)) {
    if (!finding.fix.empty()) fixes.push_back(std::move(finding.fix));
  }
  // What removes a command goes first, so that nothing is mended in it before.
  std::stable_sort(fixes.begin(), fixes.end(), [](const auto& a, const auto& b) {
    return removed_bytes(a) > removed_bytes(b);
  });
  const Quality before = quality_of(bytes);
  std::vector<Edit> taken;
  std::vector<std::vector<Edit>> chosen;
  for (auto& fix : fixes) {
    if (!fits(fix, taken)) continue;
    taken.insert(taken.end(), fix.begin(), fix.end());
    chosen.push_back(std::move(fix));
  }
  if (chosen.empty()) return std::nullopt;
  std::string together = apply(bytes, taken);
  if (quality_of(together).is_as_good_as(before)) return together;
  chosen.resize(std::min(chosen.size(), max_tried_alone));
  for (auto& fix : chosen) {
    std::string alone = apply(bytes, std::move(fix));
    if (quality_of(alone).is_as_good_as(before)) return alone;
  }
  return std::nullopt;
}

}  // namespace

Fixed fix_flow(std::string_view bytes) {
  Fixed fixed{std::string(bytes)};
  const std::size_t before = lint_flow(bytes).size();
  for (int round = 0; round < max_rounds; ++round) {
    auto next = fix_once(fixed.bytes);
    if (!next || *next == fixed.bytes) break;
    fixed.bytes = std::move(*next);
  }
  const std::size_t after = lint_flow(fixed.bytes).size();
  fixed.count = before > after ? before - after : 0;
  return fixed;
}

}  // namespace flow_runner::lint
