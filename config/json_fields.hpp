// JSON fields: values of the job model to and from JSON members, strictly.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/secret.hpp"

namespace flow_runner {

/// The words that stand for an enumeration's values: names_of(Enum) yields a range of these.
template <class Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

/// JSON holds UTF-8 only, and these may be any bytes: others become {"base64": …}.
nlohmann::json encode(std::string_view text);
nlohmann::json encode(const std::string& text);
nlohmann::json encode(const std::filesystem::path& path);
nlohmann::json encode(std::chrono::milliseconds duration);  ///< their number
nlohmann::json encode(const std::vector<std::string>& texts);
template <class T>
requires std::is_arithmetic_v<T> nlohmann::json encode(T value) { return nlohmann::json(value); }
template <class T>
requires std::is_enum_v<T> nlohmann::json encode(T value) {
  for (const auto& entry : names_of(value)) {
    if (entry.value == value) return nlohmann::json(entry.name);
  }
  return nlohmann::json();
}
template <class T>
nlohmann::json encode(const std::optional<T>& value) {
  return value ? encode(*value) : nlohmann::json();
}

/// False: it is none, or out of range; the value may have been touched.
bool decode(const nlohmann::json& json, std::string& text);
bool decode(const nlohmann::json& json, std::filesystem::path& path);
bool decode(const nlohmann::json& json, Secret& secret);
bool decode(const nlohmann::json& json, bool& value);
bool decode(const nlohmann::json& json, std::uint64_t& value);
bool decode(const nlohmann::json& json, int& value);     ///< not negative
bool decode(const nlohmann::json& json, double& value);  ///< finite, not negative
bool decode(const nlohmann::json& json, std::chrono::milliseconds& duration);
bool decode(const nlohmann::json& json, std::vector<std::string>& texts);
template <class T>
requires std::is_enum_v<T>
bool decode(const nlohmann::json& json, T& value) {
  if (!json.is_string()) return false;
  for (const auto& entry : names_of(T{})) {
    if (entry.name != json.get_ref<const std::string&>()) continue;
    value = entry.value;
    return true;
  }
  return false;
}
template <class T>
bool decode(const nlohmann::json& json, std::optional<T>& value) {
  if (json.is_null()) {
    value.reset();
    return true;
  }
  return decode(json, value.emplace());
}

/// Reads the members of one object and remembers the first that is wrong.
class ObjectReader {
 public:
  ObjectReader(const nlohmann::json& json, std::string name) : json_(json), name_(std::move(name)) {
    if (!json.is_object()) wrong_ = name_.empty() ? "the whole" : name_;
  }

  template <class T>
  ObjectReader& read(const char* key, T& value) {
    if (!wrong_.empty()) return *this;
    const auto found = json_.find(key);
    if (found != json_.end() && !decode(*found, value)) wrong_ = path_of(key);
    return *this;
  }

  template <class Read>
  ObjectReader& object(const char* key, Read read_members) {
    if (!wrong_.empty()) return *this;
    const auto found = json_.find(key);
    if (found == json_.end()) return *this;
    ObjectReader inner(*found, path_of(key));
    read_members(inner);
    wrong_ = inner.wrong_;
    return *this;
  }

  template <class Read>
  ObjectReader& objects(const char* key, Read read_item) {
    if (!wrong_.empty()) return *this;
    const auto found = json_.find(key);
    if (found == json_.end()) return *this;
    if (!found->is_array()) {
      wrong_ = path_of(key);
      return *this;
    }
    for (std::size_t i = 0; i < found->size() && wrong_.empty(); ++i) {
      ObjectReader inner((*found)[i], path_of(key) + "[" + std::to_string(i) + "]");
      read_item(inner);
      wrong_ = inner.wrong_;
    }
    return *this;
  }

  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  std::string path_of(const char* key) const { return name_.empty() ? key : name_ + "." + key; }

  const nlohmann::json& json_;
  std::string name_;
  std::string wrong_;
};

}  // namespace flow_runner
