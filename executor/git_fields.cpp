#include "executor/git_fields.hpp"

#include <algorithm>

namespace flow_runner {

bool path_needs_quotes(std::string_view path) {
  return !is_utf8(path) || std::any_of(path.begin(), path.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

std::string utf8_text(const std::string& text) {
  if (is_utf8(text)) return text;
  const std::string dumped =
      nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(dumped).get<std::string>();
}

}  // namespace flow_runner
