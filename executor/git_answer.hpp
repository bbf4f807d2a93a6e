// GitAnswer: reads the git worker's stdout, in whatever pieces it comes, as events and content. No
// I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "config/result.hpp"
#include "executor/git_content_sink.hpp"

namespace flow_runner {

/// Nothing in the answer is trusted: every line has a maximum and each field is checked. After the
/// first fault, result or error event the rest is dropped.
class GitAnswer {
 public:
  using Progress =
      std::function<void(std::string_view text, std::uint64_t done, std::uint64_t total)>;

  /// Content goes to `sink` (borrowed; nullptr drops it). `max_line_bytes` bounds one line.
  GitAnswer(std::size_t max_line_bytes, Progress progress, ContentSink* sink)
      : max_line_bytes_(max_line_bytes), progress_(std::move(progress)), sink_(sink) {}

  void write(std::string_view bytes);

  /// A fault was found: there is no use in waiting for more.
  [[nodiscard]] bool broken() const noexcept { return fault_.has_value(); }
  /// The worker has said its last word.
  [[nodiscard]] bool ended() const noexcept { return result_ || error_; }

  /// After the end of the stream: the object of the result event, the worker's own Error, or
  /// internal for a fault or an answer that is cut.
  Result<nlohmann::json> finish();

 private:
  void read_line(std::string_view line);
  void read_content(const nlohmann::json& event);
  void read_error(const nlohmann::json& event);
  void fail(std::string what);

  std::size_t max_line_bytes_;
  Progress progress_;
  ContentSink* sink_;
  std::string line_;
  std::uint64_t content_left_ = 0;
  std::optional<nlohmann::json> result_;
  std::optional<Error> error_;
  std::optional<Error> fault_;
};

}  // namespace flow_runner
