#include "executor/run_options.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

constexpr std::string_view keep_word = "keep";
constexpr std::string_view instead_prefix = "shell=";
constexpr std::string_view on_failure_prefix = "shell-on-failure=";

}  // namespace

bool is_terminal_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._+-").find(c) != std::string_view::npos;
  });
}

std::vector<std::string> to_words(const RunOptions& options) {
  std::vector<std::string> words;
  if (options.keep == KeepWorkspace::yes) words.emplace_back(keep_word);
  if (options.shell == ShellUse::instead)
    words.push_back(std::string(instead_prefix) + options.terminal);
  if (options.shell == ShellUse::on_failure)
    words.push_back(std::string(on_failure_prefix) + options.terminal);
  return words;
}

Result<RunOptions> run_options_from(std::span<const std::string> words) {
  RunOptions options;
  for (const std::string& word : words) {
    if (word == keep_word) {
      options.keep = KeepWorkspace::yes;
      continue;
    }
    const bool instead = word.starts_with(instead_prefix);
    if (!instead && !word.starts_with(on_failure_prefix))
      return Error{ErrorCode::invalid_input, "an executor knows no option " + word};
    options.shell = instead ? ShellUse::instead : ShellUse::on_failure;
    options.terminal = word.substr((instead ? instead_prefix : on_failure_prefix).size());
    if (!is_terminal_name(options.terminal))
      return Error{ErrorCode::invalid_input, "an executor's shell needs a terminal's name"};
  }
  return options;
}

}  // namespace flow_runner
