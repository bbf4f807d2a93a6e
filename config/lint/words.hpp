// Words of commands: which program a command starts, and what its arguments say.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "config/lint/shell_script.hpp"

namespace flow_runner::lint {

/// The words from the program's name on: `sudo`, `env A=b`, `exec`, `timeout 5` and the like are
/// left out.
std::span<const Word> program_words(const SimpleCommand& command);

/// The program's name without its folder; empty when it is not written out.
std::string program_name(const SimpleCommand& command);

/// The words of a `git` command from the subcommand on (`-C DIR`, `-c K=V` left out); empty for
/// other programs.
std::span<const Word> git_words(const SimpleCommand& command);

/// Whether it is `git SUBCOMMAND`.
bool is_git(const SimpleCommand& command, std::string_view subcommand);

/// Whether one of the words is this option, alone or as `option=…`.
bool has_option(std::span<const Word> words, std::string_view option);

/// Whether one of the words is a group of short options with this letter.
bool has_letter(std::span<const Word> words, char letter);

/// Commands that the shell runs itself: their arguments are in no process table.
bool is_builtin(std::string_view name);

bool is_shell(std::string_view name);

/// The coding agents that GitLab's flows and their relatives start.
bool is_agent(std::string_view name);

/// Whether its output goes to a file (not a device, not another descriptor).
bool writes_file(const SimpleCommand& command);

/// The operand of an expansion that shows the value: no `${#X}`, no `${X:+…}`.
bool shows_value(const Expansion& expansion, std::string_view script);

}  // namespace flow_runner::lint
