// Flow file: reads and checks the YAML that describes a flow. Its author is not trusted.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.hpp"
#include "config/flow.hpp"
#include "config/result.hpp"

namespace flow_runner {

/// As GitLab's limit for flow definitions in its catalogue.
inline constexpr std::size_t max_flow_file_bytes = 64 * 1024;

/// What was read. `flow` is set exactly when no diagnostic is an error; warnings may be there with
/// it.
struct FlowFile {
  std::optional<Flow> flow;
  std::vector<Diagnostic> diagnostics;  ///< in the order of the file, at most about 100
};

/// Reads a flow from bytes; `path` is for Flow::path only. Reports every mistake at once. For any
/// bytes: no exception but std::bad_alloc, bounded recursion, time and memory.
FlowFile parse_flow(std::string_view bytes, std::string path);

/// The bytes of a regular file, at most one more than max_flow_file_bytes, which parse_flow then
/// reports. Never waits for a FIFO or a device.
Result<std::string> read_flow_bytes(const std::filesystem::path& path);

/// parse_flow of a regular file's content. What cannot be read, is no regular file or is too large
/// is a diagnostic on line 0.
FlowFile load_flow(const std::filesystem::path& path);

}  // namespace flow_runner
