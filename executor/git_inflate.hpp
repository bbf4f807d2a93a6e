// Inflation of untrusted zlib streams, and git's deltas, with a bound on what comes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

struct Inflation {
  std::string bytes;
  std::size_t consumed = 0;  ///< bytes of the input that the stream took
  bool complete = false;     ///< false: the limit came before the stream's end
};

/// Inflates the zlib stream at the start of `input` to at most `limit` bytes. Memory grows with
/// what truly comes out, not with what a header promises. invalid_input: no good stream.
Result<Inflation> inflate_at_most(std::string_view input, std::uint64_t limit);

/// The sizes that a delta begins with.
struct DeltaSizes {
  std::uint64_t base = 0;
  std::uint64_t result = 0;
  std::size_t header_bytes = 0;
};
Result<DeltaSizes> read_delta_sizes(std::string_view delta);

/// Applies a delta (gitformat-pack(5)). The caller has bounded DeltaSizes::result.
Result<std::string> apply_delta(std::string_view base, std::string_view delta);

}  // namespace flow_runner
