#include "executor/shell_channel.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

constexpr std::size_t header_bytes = 3;
constexpr std::size_t max_content = 0xffff;

std::string number(std::size_t value) {
  return {static_cast<char>(value & 0xff), static_cast<char>(value >> 8 & 0xff)};
}

std::uint16_t number_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(text[i]));
  };
  return static_cast<std::uint16_t>(byte(at) | byte(at + 1) << 8U);
}

}  // namespace

std::string shell_frames(ShellFrame kind, std::string_view bytes) {
  std::string frames;
  do {
    const std::string_view content = bytes.substr(0, max_content);
    frames += static_cast<char>(kind);
    frames += number(content.size());
    frames += content;
    bytes.remove_prefix(content.size());
  } while (!bytes.empty());
  return frames;
}

std::string window_frame(WindowSize size) {
  return shell_frames(ShellFrame::window, number(size.rows) + number(size.columns));
}

WindowSize window_from(std::string_view content) noexcept {
  if (content.size() != 4) return {};
  return {number_at(content, 0), number_at(content, 2)};
}

void ShellFrameReader::read(std::string_view bytes, const Callback& on_frame) {
  pending_ += bytes;
  std::string_view rest = pending_;
  while (rest.size() >= header_bytes) {
    const std::size_t size = header_bytes + number_at(rest, 1);
    if (rest.size() < size) break;
    on_frame(static_cast<ShellFrame>(rest[0]), rest.substr(header_bytes, size - header_bytes));
    rest.remove_prefix(size);
  }
  pending_.erase(0, pending_.size() - rest.size());
}

}  // namespace flow_runner
