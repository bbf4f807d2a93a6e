// Quoted paths: git's C-style quoting of path bytes, and the question whether bytes are UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// Strict UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view bytes) noexcept;

/// The length (1 to 4) of the valid UTF-8 sequence at the start of `bytes`, 0 when there is none.
std::size_t utf8_length(std::string_view bytes) noexcept;

/// The longest prefix of at most `max_bytes` that does not end inside a UTF-8 sequence. Bytes that
/// are not UTF-8 are cut anywhere.
std::string_view utf8_prefix(std::string_view bytes, std::size_t max_bytes) noexcept;

/// The path as git prints it with core.quotePath=true (git-config(1)): unchanged, or in double
/// quotes with C escapes when it holds a control byte, `"`, `\`, or a byte from 0x80. The two never
/// look alike.
std::string quote_path(std::string_view path);

/// The inverse of quote_path: what does not start with `"` is returned as it is. Errors:
/// invalid_input for a missing end quote, text behind it, an unknown or cut escape, or a NUL byte.
Result<std::string> unquote_path(std::string_view quoted);

}  // namespace flow_runner
