#include "executor/copy_mark.hpp"

#include <charconv>

namespace flow_runner {
namespace {

constexpr std::string_view heading = "flow-runner copy 1";

/// Takes the bytes before the first `end`; false when there is none.
bool take_until(std::string_view& rest, char end, std::string_view& taken) {
  const auto at = rest.find(end);
  if (at == std::string_view::npos) return false;
  taken = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return true;
}

template <class Integer>
bool take_number(std::string_view& rest, char end, Integer& number) {
  std::string_view digits;
  if (!take_until(rest, end, digits)) return false;
  const auto [stop, error] = std::from_chars(digits.begin(), digits.end(), number);
  return error == std::errc{} && stop == digits.end();
}

}  // namespace

std::string format_copy_mark(const CopyMark& mark) {
  std::string bytes(heading);
  bytes += '\0' + std::to_string(mark.begin_ns) + '\0' + std::to_string(mark.end_ns) + '\0' +
           std::to_string(mark.folders.size()) + '\0';
  for (const auto& [path, inode] : mark.folders) bytes += std::to_string(inode) + ' ' + path + '\0';
  return bytes;
}

Result<CopyMark> parse_copy_mark(std::string_view bytes) {
  const Error damaged{ErrorCode::internal, "the mark of the workspace's copy is damaged"};
  CopyMark mark;
  std::string_view text;
  std::size_t count = 0;
  if (!take_until(bytes, '\0', text) || text != heading ||
      !take_number(bytes, '\0', mark.begin_ns) || !take_number(bytes, '\0', mark.end_ns) ||
      !take_number(bytes, '\0', count))
    return damaged;
  while (!bytes.empty()) {
    std::uint64_t inode = 0;
    if (!take_number(bytes, ' ', inode) || !take_until(bytes, '\0', text)) return damaged;
    mark.folders.emplace(text, inode);
  }
  if (mark.folders.size() != count) return damaged;
  return mark;
}

}  // namespace flow_runner
