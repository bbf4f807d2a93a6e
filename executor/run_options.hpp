// RunOptions: how an executor is to run a job here, beside what the job itself says.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

enum class KeepWorkspace { no, yes };
enum class ShellUse {
  none,
  instead,     ///< of the flow's commands
  on_failure,  ///< after them, when they failed
};

struct RunOptions {
  KeepWorkspace keep = KeepWorkspace::no;
  ShellUse shell = ShellUse::none;
  std::string terminal;  ///< TERM of the person's terminal, for the shell
};

/// Letters, digits and `.`, `_`, `+`, `-`; at most 64.
bool is_terminal_name(std::string_view name) noexcept;

/// The words that an executor is started with, and back.
std::vector<std::string> to_words(const RunOptions& options);
Result<RunOptions> run_options_from(std::span<const std::string> words);

}  // namespace flow_runner
