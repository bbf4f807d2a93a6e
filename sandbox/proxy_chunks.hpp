// ChunkDecoder: takes a chunked body apart as it comes, strictly. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// RFC 9112, section 7.1. Extensions and trailers are read over, within 16 KiB together.
class ChunkDecoder {
 public:
  struct Step {
    std::size_t consumed = 0;  ///< of the input; 0 only when the input is empty or the body done
    std::string_view data;     ///< of the input: body bytes
  };
  /// Takes as much as forms one piece of data, or all. invalid_input: a size that is no hexadecimal
  /// number of 15 digits at most, a bare CR or LF, data longer than its chunk.
  Result<Step> feed(std::string_view input);
  /// The last chunk and its trailers were read.
  [[nodiscard]] bool done() const noexcept { return state_ == State::done; }

 private:
  enum class State {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer,
    trailer_lf,
    end_lf,
    done,
  };
  bool take(char c);

  State state_ = State::size;
  std::uint64_t left_ = 0;
  unsigned digits_ = 0;
  std::size_t overhead_ = 0;
};

}  // namespace flow_runner
