// Units: durations and byte sizes as people write them, for flow files, settings and the command
// line.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// The longest duration that parse_duration accepts.
inline constexpr std::chrono::milliseconds max_duration = std::chrono::hours(24 * 3660);

/// Reads `90s`, `30m`, `2h`, `14d`, `500ms`, several of them from large to small (`1h30m`), or
/// plain seconds (`90`). Whole numbers only, no spaces, no sign. Errors: invalid_input, with an
/// example.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Reads `4GiB`, `512MiB`, `64KiB`, `1TiB` (any case) or plain bytes (`4096`, `4096B`). Whole
/// numbers only. Decimal units (GB) and single letters (G) are refused with the cure: they mean
/// different things to different tools. Errors: invalid_input.
Result<std::uint64_t> parse_bytes(std::string_view text);

/// Exact: `1h30m`, `2m5s`, `1s500ms`, `0s`; parse_duration reads it back. Negative durations are
/// `0s`.
std::string format_duration(std::chrono::milliseconds duration);

/// Exact: the largest unit that divides the size (`4GiB`, `1536MiB`), else plain bytes; parse_bytes
/// reads it back.
std::string format_bytes(std::uint64_t bytes);

/// For people, two or three digits: `340ms`, `3.4s`, `2m05s`, `1h02m`, `3d04h`.
std::string format_duration_rounded(std::chrono::milliseconds duration);

/// For people, two or three digits: `512 B`, `1.5 KiB`, `23 MiB`.
std::string format_bytes_rounded(std::uint64_t bytes);

}  // namespace flow_runner
