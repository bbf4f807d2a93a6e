#include "daemon/cli/lint_command.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "config/flow_file.hpp"
#include "config/lint/lint.hpp"
#include "config/lint/report.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/terminal_text.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* discovered_folder = ".gitlab/duo/flows";

struct LintOptions {
  std::vector<std::string> files;
  std::string format = "text";
  std::string fail_on = "error";
  bool fix = false;
};

/// Only what lies in this repository: who wrote it may have made links to other files of the
/// user's.
std::vector<std::string> flows_here() {
  std::vector<std::string> files;
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (error ||
      fs::canonical(discovered_folder, error) != fs::canonical(here, error) / discovered_folder)
    return files;
  for (fs::directory_iterator entry(discovered_folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path extension = entry->path().extension();
    std::error_code unreadable;
    if ((extension == ".yml" || extension == ".yaml") && !entry->is_symlink(unreadable) &&
        entry->is_regular_file(unreadable))
      files.push_back(entry->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Writes the mended bytes where the file is (behind a link that the user named), with its mode and
/// its owner.
Result<void> write_back(const std::string& file, const std::string& bytes) {
  std::error_code error;
  const fs::path path = fs::canonical(file, error);
  struct stat status {};
  if (error || ::stat(path.c_str(), &status) != 0)
    return Error{ErrorCode::not_found, "cannot write " + file + ": it is gone"};
  FR_CHECK(replace_file(path, bytes, status.st_mode & 07777));
  struct stat written {};
  const bool kept = ::stat(path.c_str(), &written) == 0 && written.st_uid == status.st_uid &&
                    written.st_gid == status.st_gid;
  if (!kept && ::chown(path.c_str(), status.st_uid, status.st_gid) != 0)
    return errno_error("cannot give " + file + " back to its owner");
  return {};
}

Result<lint::FileReport> lint_file(const LintOptions& options, const std::string& file) {
  auto bytes = read_flow_bytes(file);
  if (!bytes) return Error{ErrorCode::invalid_input, file + ": " + bytes.error().message};
  if (options.fix) {
    lint::Fixed fixed = lint::fix_flow(*bytes);
    if (fixed.bytes != *bytes) {
      FR_CHECK(write_back(file, fixed.bytes));
      const std::string said = file + ": " + std::to_string(fixed.count) +
                               (fixed.count == 1 ? " finding mended\n" : " findings mended\n");
      print(STDERR_FILENO, terminal_text(said, TerminalColours::removed));
    }
    *bytes = std::move(fixed.bytes);
  }
  return lint::FileReport{file, lint::lint_flow(*bytes)};
}

std::string format(const LintOptions& options, const std::vector<lint::FileReport>& reports) {
  if (options.format == "json") return lint::format_json(reports);
  if (options.format == "sarif") return lint::format_sarif(reports);
  return terminal_text(lint::format_text(reports), TerminalColours::removed);
}

std::optional<lint::Severity> level(const std::string& word) {
  if (word == "error") return lint::Severity::error;
  if (word == "warning") return lint::Severity::warning;
  if (word == "note") return lint::Severity::note;
  return std::nullopt;
}

int lint_command(const LintOptions& options) {
  const auto files = options.files.empty() ? flows_here() : options.files;
  if (files.empty())
    return print_error(
        {ErrorCode::not_found,
         "there is no flow file (*.yml, *.yaml) in " + std::string(discovered_folder) +
             ": name one (flow-runner lint FILE …), or go to the repository's root"});
  std::vector<lint::FileReport> reports;
  int code = exit_success;
  for (const std::string& file : files) {
    auto report = lint_file(options, file);
    if (report) {
      reports.push_back(std::move(*report));
    } else {
      print_error(report.error());
      code = exit_usage;
    }
  }
  print(STDOUT_FILENO, format(options, reports));
  if (code != exit_success) return code;
  const auto limit = level(options.fail_on);
  const bool failed = limit && std::any_of(reports.begin(), reports.end(), [&](const auto& report) {
                        return lint::reaches(report.findings, *limit);
                      });
  return failed ? exit_failed : exit_success;
}

}  // namespace

void add_lint_command(CLI::App& app, std::function<int()>& chosen) {
  // Shared with the callback, which outlives this function.
  auto options = std::make_shared<LintOptions>();
  auto* lint = app.add_subcommand("lint", "Say what is wrong with flow files");
  lint->add_option("FILE", options->files, "default: every flow in .gitlab/duo/flows/");
  lint->add_flag("--fix", options->fix, "mend in place what has exactly one right answer");
  lint->add_option("--format", options->format, "default: text")
      ->check(CLI::IsMember({"text", "json", "sarif"}))
      ->type_name("text|json|sarif");
  lint->add_option("--fail-on", options->fail_on, "exit 1 from which severity on; default: error")
      ->check(CLI::IsMember({"error", "warning", "note", "never"}))
      ->type_name("error|warning|note|never");
  lint->callback([options, &chosen] { chosen = [options] { return lint_command(*options); }; });
}

}  // namespace flow_runner::cli
