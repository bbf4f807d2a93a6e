#include "executor/git_inflate.hpp"

#include <algorithm>
#include <memory>
#include <zlib.h>

namespace flow_runner {
namespace {

constexpr std::size_t max_piece = 1UL << 30;  // zlib counts in 32 bits
constexpr std::size_t first_output = 16UL << 10;

Error bad_delta() { return {ErrorCode::invalid_input, "a delta in a pack is broken"}; }

Result<std::uint64_t> take_size(std::string_view delta, std::size_t& at) {
  std::uint64_t size = 0;
  for (unsigned shift = 0; at < delta.size() && shift < 56; shift += 7) {
    const auto byte = static_cast<unsigned char>(delta[at++]);
    size |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) return size;
  }
  return bad_delta();
}

/// The operand of a copy: the bytes of `bits` that the opcode announces, lowest first.
Result<std::uint64_t> take_operand(std::string_view delta, std::size_t& at, unsigned bits,
                                   unsigned count) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < count; ++i) {
    if ((bits & (1U << i)) == 0) continue;
    if (at >= delta.size()) return bad_delta();
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(delta[at++])) << (8 * i);
  }
  return value;
}

}  // namespace

Result<Inflation> inflate_at_most(std::string_view input, std::uint64_t limit) {
  struct EndStream {
    void operator()(z_stream* stream) const noexcept { inflateEnd(stream); }
  };
  z_stream state{};
  if (inflateInit(&state) != Z_OK) return Error{ErrorCode::internal, "zlib cannot start"};
  const std::unique_ptr<z_stream, EndStream> stream(&state);

  Inflation result;
  // One byte more than the limit tells a stream that ends there from one that goes on.
  const std::uint64_t room = limit + 1;
  std::size_t taken = 0;
  int status = Z_OK;
  while (status != Z_STREAM_END && result.bytes.size() < room) {
    const std::size_t old_size = result.bytes.size();
    const std::size_t wanted = std::max(first_output, old_size);
    const auto step =
        static_cast<std::size_t>(std::min<std::uint64_t>({wanted, room - old_size, max_piece}));
    result.bytes.resize(old_size + step);
    const std::size_t piece = std::min(input.size() - taken, max_piece);
    state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data() + taken));
    state.avail_in = static_cast<uInt>(piece);
    state.next_out = reinterpret_cast<Bytef*>(result.bytes.data() + old_size);
    state.avail_out = static_cast<uInt>(step);
    status = inflate(&state, Z_NO_FLUSH);
    const std::size_t consumed = piece - state.avail_in;
    const std::size_t produced = step - state.avail_out;
    taken += consumed;
    result.bytes.resize(old_size + produced);
    if (status != Z_STREAM_END && (status != Z_OK || (consumed == 0 && produced == 0))) {
      return Error{ErrorCode::invalid_input, "an object's zlib stream is broken or cut off"};
    }
  }
  result.consumed = taken;
  result.complete = status == Z_STREAM_END && result.bytes.size() <= limit;
  if (result.bytes.size() > limit) result.bytes.resize(limit);
  return result;
}

Result<DeltaSizes> read_delta_sizes(std::string_view delta) {
  DeltaSizes sizes;
  FR_TRY(sizes.base, take_size(delta, sizes.header_bytes));
  FR_TRY(sizes.result, take_size(delta, sizes.header_bytes));
  return sizes;
}

Result<std::string> apply_delta(std::string_view base, std::string_view delta) {
  FR_TRY(const DeltaSizes sizes, read_delta_sizes(delta));
  if (sizes.base != base.size()) return bad_delta();
  std::string result;
  std::size_t at = sizes.header_bytes;
  while (at < delta.size()) {
    const auto opcode = static_cast<unsigned char>(delta[at++]);
    std::string_view piece;
    if ((opcode & 0x80U) != 0) {
      FR_TRY(const std::uint64_t offset, take_operand(delta, at, opcode & 0xfU, 4));
      FR_TRY(std::uint64_t size, take_operand(delta, at, (opcode >> 4U) & 7U, 3));
      if (size == 0) size = 0x10000;
      if (offset > base.size() || size > base.size() - offset) return bad_delta();
      piece = base.substr(offset, size);
    } else {
      if (opcode == 0 || opcode > delta.size() - at) return bad_delta();
      piece = delta.substr(at, opcode);
      at += opcode;
    }
    if (piece.size() > sizes.result - result.size()) return bad_delta();
    result += piece;
  }
  if (result.size() != sizes.result) return bad_delta();
  return result;
}

}  // namespace flow_runner
