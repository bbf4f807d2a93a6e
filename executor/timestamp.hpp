// Timestamps as text: RFC 3339 in UTC with milliseconds, the form used in every file of a job
// directory.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// "2026-11-22T14:30:12.345Z"; a time before 1970 becomes its first moment.
std::string format_timestamp(std::chrono::system_clock::time_point at);

/// The inverse, for the years 1970 to 2261; the fraction may be absent or have up to nine digits.
/// Other zones than Z are refused.
Result<std::chrono::system_clock::time_point> parse_timestamp(std::string_view text);

}  // namespace flow_runner
