#include "config/json_fields.hpp"

#include <cmath>
#include <limits>

#include "config/encoding.hpp"
#include "config/quoted_path.hpp"

namespace flow_runner {

using Json = nlohmann::json;

Json encode(std::string_view text) {
  if (is_utf8(text)) return Json(text);
  return Json{{"base64", base64_encode(text)}};
}

Json encode(const std::string& text) { return encode(std::string_view(text)); }
Json encode(const std::filesystem::path& path) { return encode(path.native()); }
Json encode(std::chrono::milliseconds duration) { return Json(duration.count()); }
Json encode(const std::vector<std::string>& texts) {
  Json array = Json::array();
  for (const std::string& text : texts) array.push_back(encode(text));
  return array;
}

bool decode(const Json& json, std::string& text) {
  if (json.is_string()) {
    text = json.get_ref<const std::string&>();
    return true;
  }
  if (!json.is_object()) return false;
  const auto encoded = json.find("base64");
  if (encoded == json.end() || !encoded->is_string()) return false;
  auto bytes = base64_decode(encoded->get_ref<const std::string&>());
  if (bytes) text = std::move(*bytes);
  return bytes.has_value();
}

bool decode(const Json& json, std::filesystem::path& path) {
  std::string text;
  if (!decode(json, text) || text.find('\0') != std::string::npos) return false;
  path = std::move(text);
  return true;
}

bool decode(const Json& json, Secret& secret) {
  std::string text;
  if (!decode(json, text)) return false;
  secret = Secret(std::move(text));
  return true;
}

bool decode(const Json& json, bool& value) {
  if (!json.is_boolean()) return false;
  value = json.get<bool>();
  return true;
}

bool decode(const Json& json, std::uint64_t& value) {
  // A number made in memory from a signed type is not "unsigned", however positive.
  if (!json.is_number_integer()) return false;
  if (!json.is_number_unsigned() && json.get<std::int64_t>() < 0) return false;
  value = json.get<std::uint64_t>();
  return true;
}

bool decode(const Json& json, int& value) {
  std::uint64_t number = 0;
  if (!decode(json, number) || number > std::numeric_limits<int>::max()) return false;
  value = static_cast<int>(number);
  return true;
}

bool decode(const Json& json, double& value) {
  if (!json.is_number()) return false;
  const double number = json.get<double>();
  if (!std::isfinite(number) || number < 0) return false;
  value = number;
  return true;
}

bool decode(const Json& json, std::chrono::milliseconds& duration) {
  std::uint64_t count = 0;
  // 126 years, also as a point in time: in nanoseconds, added to a clock, it stays within 64 bits.
  if (!decode(json, count) || count > 4'000'000'000'000ULL) return false;
  duration = std::chrono::milliseconds(count);
  return true;
}

bool decode(const Json& json, std::vector<std::string>& texts) {
  if (!json.is_array()) return false;
  texts.clear();
  for (const Json& item : json) {
    if (!decode(item, texts.emplace_back())) return false;
  }
  return true;
}

}  // namespace flow_runner
