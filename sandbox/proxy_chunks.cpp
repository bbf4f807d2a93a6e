#include "sandbox/proxy_chunks.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

constexpr unsigned max_digits = 15;
constexpr std::size_t max_overhead = 16U << 10;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_text(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); }

}  // namespace

/// One byte that is no data; false: it has no place here.
bool ChunkDecoder::take(char c) {
  switch (state_) {
    case State::size:
      if (const int value = hex_value(c); value >= 0) {
        if (++digits_ > max_digits) return false;
        left_ = left_ * 16 + static_cast<unsigned>(value);
        return true;
      }
      if (digits_ == 0) return false;
      if (c == '\r') return state_ = State::size_lf, true;
      // White space before an extension is tolerated by some, and by others taken for the end.
      if (c == ';') return state_ = State::extension, true;
      return false;
    case State::extension:
      if (c == '\r') return state_ = State::size_lf, true;
      return is_text(c) && ++overhead_ <= max_overhead;
    case State::size_lf:
      state_ = left_ == 0 ? State::trailer_start : State::data;
      digits_ = 0;
      return c == '\n';
    case State::data_cr:
      state_ = State::data_lf;
      return c == '\r';
    case State::data_lf:
      state_ = State::size;
      return c == '\n';
    case State::trailer_start:
      if (c == '\r') return state_ = State::end_lf, true;
      state_ = State::trailer;
      return is_text(c) && ++overhead_ <= max_overhead;
    case State::trailer:
      if (c == '\r') return state_ = State::trailer_lf, true;
      return is_text(c) && ++overhead_ <= max_overhead;
    case State::trailer_lf:
      state_ = State::trailer_start;
      return c == '\n';
    case State::end_lf:
      state_ = State::done;
      return c == '\n';
    case State::data:
    case State::done:
      break;
  }
  return false;
}

Result<ChunkDecoder::Step> ChunkDecoder::feed(std::string_view input) {
  Step step;
  while (step.consumed < input.size() && state_ != State::done) {
    if (state_ == State::data) {
      const std::size_t room = input.size() - step.consumed;
      const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, room));
      step.data = input.substr(step.consumed, taken);
      step.consumed += taken;
      left_ -= taken;
      if (left_ == 0) state_ = State::data_cr;
      return step;
    }
    if (!take(input[step.consumed]))
      return Error{ErrorCode::invalid_input, "the chunked body is malformed"};
    ++step.consumed;
  }
  return step;
}

}  // namespace flow_runner
