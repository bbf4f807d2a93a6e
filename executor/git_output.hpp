// Git output: what git and the server behind it said, read as refs, progress lines and errors.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/result.hpp"

namespace flow_runner {

/// Takes secrets out of a text that others wrote (the job's masker). Empty: the text as it is.
using Sanitizer = std::function<std::string(std::string_view)>;

/// A full lower-case object name (SHA-1).
bool is_commit_id(std::string_view text) noexcept;

/// Replaces control and text-direction characters, and bytes that are not UTF-8, by '?': a server's
/// text can then neither steer a terminal nor break JSON.
std::string printable(std::string_view text);

/// Says why git failed, from its stderr: denied (401, 403, no token), not_found, unavailable
/// (network, DNS, TLS: the latter names --ca-file), timed_out, invalid_input (a redirect), else
/// internal. `what` says what was tried, as in "git fetch from https://…". git's last words are
/// quoted, sanitized, in at most 300 bytes.
Error git_failure(std::string_view what, int exit_code, std::string_view stderr_text,
                  const Sanitizer& sanitize);

/// Splits git's stderr, which comes in pieces with '\r' and '\n', into sanitized, printable lines.
/// A line of more than max_line bytes is left out, with a note: cut, it could show a part of a
/// secret. Of percentages of one phase only those 10 points apart are passed on.
class ProgressLines {
 public:
  static constexpr std::size_t max_line = 8192;
  using Line = std::function<void(std::string_view)>;

  ProgressLines(Sanitizer sanitize, Line line)
      : sanitize_(std::move(sanitize)), line_(std::move(line)) {}

  void write(std::string_view text);

 private:
  void end_line();
  bool worth_showing(std::string_view line);

  Sanitizer sanitize_;
  Line line_;
  std::string partial_;
  bool too_long_ = false;
  std::string phase_;
  int percent_ = 0;
};

/// What `git ls-remote --symref` tells.
struct RemoteRefs {
  std::map<std::string, std::string, std::less<>> commits;  ///< full ref (or HEAD) to object; a
                                                            ///< tag's commit is under `<tag>^{}`
  std::string head_branch;  ///< full ref that HEAD names; empty: detached or missing

  [[nodiscard]] std::optional<std::string> find(std::string_view name) const;
};

/// Reads the output of ls-remote; a line of another form is an internal error.
Result<RemoteRefs> parse_remote_refs(std::string_view output);

}  // namespace flow_runner
