#include "executor/push_report.hpp"

#include <algorithm>
#include <array>

namespace flow_runner {
namespace {

/// Reasons that mean "not what you thought it was": from git's send-pack and receive-pack.
constexpr std::array moved_reasons = {"stale info",
                                      "fetch first",
                                      "non-fast-forward",
                                      "needs force",
                                      "already exists",
                                      "cannot lock ref",
                                      "failed to update ref",
                                      "reference already exists",
                                      "incorrect old value provided"};

}  // namespace

PushReport read_push(std::string_view ref, int exit_code, std::string_view stdout_text,
                     std::string_view stderr_text) {
  if (exit_code != 0 && stderr_text.find("does not support push options") != std::string_view::npos)
    return {PushAnswer::no_push_options, {}};
  const std::string target = ":" + std::string(ref) + "\t";
  while (!stdout_text.empty()) {
    const std::size_t end = std::min(stdout_text.find('\n'), stdout_text.size());
    const std::string_view line = stdout_text.substr(0, end);
    stdout_text.remove_prefix(std::min(end + 1, stdout_text.size()));
    // <flag> TAB <from>:<to> TAB <summary> (<reason>)
    const std::size_t at = line.find(target);
    if (line.size() < 2 || line[1] != '\t' || at == std::string_view::npos) continue;
    const std::string_view summary = line.substr(at + target.size());
    if (line[0] != '!') {
      if (exit_code == 0) return {PushAnswer::accepted, {}};
      continue;
    }
    const bool moved = std::any_of(
        moved_reasons.begin(), moved_reasons.end(),
        [&](const char* reason) { return summary.find(reason) != std::string_view::npos; });
    if (moved) return {PushAnswer::moved, std::string(summary)};
    if (summary.find("remote rejected") != std::string_view::npos)
      return {PushAnswer::refused, std::string(summary)};
  }
  return {PushAnswer::failed, {}};
}

}  // namespace flow_runner
