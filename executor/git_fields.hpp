// Fields of the git worker's JSON objects: written and read with their types checked, paths quoted
// where needed.
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/quoted_path.hpp"
#include "config/result.hpp"

namespace flow_runner {

/// Whether a path is not UTF-8 or holds a control byte.
bool path_needs_quotes(std::string_view path);
/// Text that is no path (a message, a warning): what is not UTF-8 becomes U+FFFD, for nlohmann's
/// dump() throws on it.
std::string utf8_text(const std::string& text);

/// Makes one object. When one of its paths needs quotes, all are quoted and "quoted" says so.
class FieldWriter {
 public:
  FieldWriter& path(const char* name, std::string value) {
    quoted_ = quoted_ || path_needs_quotes(value);
    paths_.emplace_back(name, std::move(value));
    return *this;
  }
  FieldWriter& paths(const char* name, const std::vector<std::string>& values) {
    quoted_ = quoted_ || std::any_of(values.begin(), values.end(), path_needs_quotes);
    lists_.emplace_back(name, values);
    return *this;
  }
  template <class T>
  FieldWriter& value(const char* name, const T& value) {
    object_[name] = value;
    return *this;
  }
  FieldWriter& text(const char* name, const std::string& value) {
    object_[name] = utf8_text(value);
    return *this;
  }
  FieldWriter& texts(const char* name, const std::vector<std::string>& values) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& value : values) list.push_back(utf8_text(value));
    object_[name] = std::move(list);
    return *this;
  }
  nlohmann::json done() {
    for (const auto& [name, value] : paths_) object_[name] = shown(value);
    for (const auto& [name, values] : lists_) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& value : values) list.push_back(shown(value));
      object_[name] = std::move(list);
    }
    if (quoted_) object_["quoted"] = true;
    return std::move(object_);
  }

 private:
  [[nodiscard]] std::string shown(const std::string& path) const {
    return quoted_ ? quote_path(path) : path;
  }

  nlohmann::json object_ = nlohmann::json::object();
  std::vector<std::pair<const char*, std::string>> paths_;
  std::vector<std::pair<const char*, std::vector<std::string>>> lists_;
  bool quoted_ = false;
};

/// Reads one object (borrowed) field by field and keeps the first failure, which names the field.
class FieldReader {
 public:
  explicit FieldReader(const nlohmann::json& object) : object_(object) {
    if (!object.is_object()) {
      fail("git worker: an object was expected");
      return;
    }
    if (const auto found = object.find("quoted"); found != object.end()) {
      if (found->is_boolean())
        quoted_ = found->get<bool>();
      else
        fail("git worker: the field 'quoted' must be a boolean");
    }
  }

  template <class T>
  FieldReader& value(const char* name, T& into) {
    if (const nlohmann::json* field = find(name)) convert(name, *field, into);
    return *this;
  }
  template <class T>
  FieldReader& optional(const char* name, std::optional<T>& into) {
    if (error_ || !object_.contains(name) || object_[name].is_null()) return *this;
    convert(name, object_[name], into.emplace());
    return *this;
  }
  FieldReader& path(const char* name, std::string& into) {
    if (const nlohmann::json* field = find(name)) convert_path(name, *field, into);
    return *this;
  }
  FieldReader& path(const char* name, std::filesystem::path& into) {
    std::string raw;
    path(name, raw);
    into = std::move(raw);
    return *this;
  }
  FieldReader& paths(const char* name, std::vector<std::string>& into) {
    const nlohmann::json* field = find(name);
    if (field == nullptr) return *this;
    if (!field->is_array()) return mistyped(name, "a list of paths");
    for (const auto& element : *field) convert_path(name, element, into.emplace_back());
    return *this;
  }
  /// A list of objects, read by `read(element) -> Result<T>`.
  template <class T, class Read>
  FieldReader& list(const char* name, std::vector<T>& into, Read read) {
    const nlohmann::json* field = find(name);
    if (field == nullptr) return *this;
    if (!field->is_array()) return mistyped(name, "a list");
    for (const auto& element : *field) {
      Result<T> one = read(element);
      if (!one) {
        error_ = one.error();
        return *this;
      }
      into.push_back(std::move(*one));
    }
    return *this;
  }
  FieldReader& fail(std::string message) {
    if (!error_) error_ = Error{ErrorCode::invalid_input, std::move(message)};
    return *this;
  }

  template <class T>
  Result<T> done(T& value) {
    if (error_) return *error_;
    return std::move(value);
  }

 private:
  const nlohmann::json* find(const char* name) {
    if (error_) return nullptr;
    const auto found = object_.find(name);
    if (found == object_.end()) {
      fail(std::string("git worker: the field '") + name + "' is missing");
      return nullptr;
    }
    return &*found;
  }
  FieldReader& mistyped(const char* name, const char* wanted) {
    return fail(std::string("git worker: the field '") + name + "' must be " + wanted);
  }
  void convert(const char* name, const nlohmann::json& field, std::string& into) {
    if (!field.is_string())
      mistyped(name, "a string");
    else
      into = field.get<std::string>();
  }
  void convert(const char* name, const nlohmann::json& field, bool& into) {
    if (!field.is_boolean())
      mistyped(name, "a boolean");
    else
      into = field.get<bool>();
  }
  void convert(const char* name, const nlohmann::json& field, std::vector<std::string>& into) {
    if (!field.is_array()) {
      mistyped(name, "a list of strings");
      return;
    }
    for (const auto& element : field) convert(name, element, into.emplace_back());
  }
  template <class Integer>
  requires(std::is_integral_v<Integer>) void convert(const char* name, const nlohmann::json& field,
                                                     Integer& into) {
    if (!field.is_number_integer() ||
        (std::is_unsigned_v<Integer> && !field.is_number_unsigned())) {
      mistyped(name,
               std::is_unsigned_v<Integer> ? "a whole number, not negative" : "a whole number");
      return;
    }
    into = field.get<Integer>();
  }
  void convert_path(const char* name, const nlohmann::json& field, std::string& into) {
    convert(name, field, into);
    if (error_ || !quoted_) return;
    auto raw = unquote_path(into);
    if (!raw) {
      mistyped(name, "a C-quoted path");
      return;
    }
    into = std::move(*raw);
  }

  const nlohmann::json& object_;
  bool quoted_ = false;
  std::optional<Error> error_;
};

}  // namespace flow_runner
