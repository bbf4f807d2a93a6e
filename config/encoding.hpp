// Encoding: SHA-256 and base64 of byte strings.
#pragma once

#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// SHA-256 of the bytes, as 64 lower-case hex digits. Throws std::bad_alloc when OpenSSL has no
/// memory (or no SHA-256, which no supported build lacks).
std::string sha256_hex(std::string_view bytes);

/// Standard alphabet, padded, without line breaks (RFC 4648, section 4).
std::string base64_encode(std::string_view bytes);

/// The inverse of base64_encode, strictly: no white space, padding required, unused bits zero.
/// Errors: invalid_input, without the text (it may be a secret).
Result<std::string> base64_decode(std::string_view text);

}  // namespace flow_runner
