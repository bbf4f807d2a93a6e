// Lint report: findings as text, JSON and SARIF.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/lint/finding.hpp"

namespace flow_runner::lint {

struct FileReport {
  std::string path;  ///< as given by the user; any bytes
  std::vector<Finding> findings;
};

/// A line `file:line:column: severity: message [rule]` for each finding, and an indented one with
/// its cure. Not yet safe for a terminal: the path is the user's.
std::string format_text(const std::vector<FileReport>& reports);

/// An array of `{file,line,column,rule,severity,message,fixable}`; line 0 is the whole file.
std::string format_json(const std::vector<FileReport>& reports);

/// SARIF 2.1.0 (OASIS), one run.
std::string format_sarif(const std::vector<FileReport>& reports);

}  // namespace flow_runner::lint
