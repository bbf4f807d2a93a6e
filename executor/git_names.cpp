#include "executor/git_names.hpp"

#include <algorithm>
#include <string>

#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

// UTF-8 of the code points that HFS+ ignores: U+200C..U+200F, U+202A..U+202E, U+206A..U+206F,
// U+FEFF.
bool is_hfs_ignorable(std::string_view three_bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(three_bytes[i]); };
  if (byte(0) == 0xEF) return byte(1) == 0xBB && byte(2) == 0xBF;
  if (byte(0) != 0xE2) return false;
  if (byte(1) == 0x80) {
    return (byte(2) >= 0x8C && byte(2) <= 0x8F) || (byte(2) >= 0xAA && byte(2) <= 0xAE);
  }
  return byte(1) == 0x81 && byte(2) >= 0xAA && byte(2) <= 0xAF;
}

std::string folded(std::string_view name) {
  std::string result;
  result.reserve(name.size());
  for (std::size_t i = 0; i < name.size();) {
    if (i + 3 <= name.size() && is_hfs_ignorable(name.substr(i, 3))) {
      i += 3;
      continue;
    }
    const char c = name[i++];
    result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return result;
}

bool is_ntfs_dot_git(std::string_view part) {
  part = part.substr(0, part.find(':'));
  while (!part.empty() && (part.back() == '.' || part.back() == ' ')) part.remove_suffix(1);
  return part == ".git" || part == "git~1";
}

std::string described(std::string_view name, std::string_view where) {
  return quote_path(name) + " in " + (where.empty() ? "the top folder" : quote_path(where));
}

}  // namespace

bool is_dot_git(std::string_view name) {
  const std::string plain = folded(name);
  for (std::size_t begin = 0; begin <= plain.size();) {
    const std::size_t end = std::min(plain.find('\\', begin), plain.size());
    if (is_ntfs_dot_git(std::string_view(plain).substr(begin, end - begin))) return true;
    begin = end + 1;
  }
  return false;
}

Result<void> check_entry_name(std::string_view name, std::string_view where) {
  const auto refuse = [&](std::string_view why) -> Error {
    return {ErrorCode::invalid_input,
            "the entry " + described(name, where) + " " + std::string(why)};
  };
  if (name.empty()) return refuse("has no name");
  if (name == "." || name == "..") return refuse("points out of its folder");
  if (name.size() > 255) return refuse("has a name of more than 255 bytes");
  if (name.find('/') != std::string_view::npos) return refuse("has a slash in its name");
  if (name.find('\0') != std::string_view::npos) return refuse("has a NUL in its name");
  if (is_dot_git(name)) return refuse("would be taken for git's own folder");
  return {};
}

Result<void> check_relative_path(std::string_view path) {
  if (path.size() > max_git_path_bytes) {
    return Error{ErrorCode::invalid_input,
                 "a path is longer than " + std::to_string(max_git_path_bytes) + " bytes"};
  }
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view where = path.substr(0, begin == 0 ? 0 : begin - 1);
    FR_CHECK(check_entry_name(path.substr(begin, end - begin), where));
    begin = end + 1;
  }
  return {};
}

}  // namespace flow_runner
