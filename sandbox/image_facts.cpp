#include "sandbox/image_facts.hpp"

#include <algorithm>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "config/encoding.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int cache_version = 1;
constexpr std::size_t max_cache_file = 4 << 20;
constexpr std::size_t max_strings = 4096;
constexpr std::size_t max_strings_bytes = 1 << 20;
constexpr std::size_t max_layers = 500;  // of one overlay mount

Error unusable(std::string_view name, std::string_view why) {
  return {ErrorCode::invalid_input, "image " + std::string(name) + " " + std::string(why)};
}

Result<std::string> text_field(const json& object, const char* field, std::string_view name) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return unusable(name, std::string("has a strange ") + field);
  auto text = found->get<std::string>();
  if (text.size() > 4096 || text.find('\0') != std::string::npos)
    return unusable(name, std::string("has a ") + field + " of over 4096 bytes or with a NUL");
  return text;
}

Result<std::vector<std::string>> list_field(const json& object, const char* field,
                                            std::string_view name) {
  std::vector<std::string> list;
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return list;
  if (!found->is_array() || found->size() > max_strings)
    return unusable(name, std::string("has a strange ") + field + " or one of over 4096 entries");
  std::size_t bytes = 0;
  for (const json& entry : *found) {
    if (!entry.is_string()) return unusable(name, std::string("has a strange ") + field);
    list.push_back(entry.get<std::string>());
    bytes += list.back().size();
    if (bytes > max_strings_bytes || list.back().find('\0') != std::string::npos)
      return unusable(name, std::string("has a ") + field + " of over 1 MiB or with a NUL");
  }
  return list;
}

/// A layer's diff folder as podman gives it: by its full path, or by the short link in `overlay/l`.
Result<fs::path> layer_folder(const std::string& given, const fs::path& storage) {
  std::error_code error;
  const fs::path resolved = fs::canonical(given, error);
  const fs::path overlay = error ? fs::path() : fs::canonical(storage / "overlay", error);
  if (error) return Error{ErrorCode::not_found, "the layer " + given + " is not there"};
  const auto [end, rest] =
      std::mismatch(overlay.begin(), overlay.end(), resolved.begin(), resolved.end());
  if (end != overlay.end() || rest == resolved.end())
    return Error{ErrorCode::internal, "the layer " + given + " is outside of the image store"};
  return resolved;
}

Result<std::vector<fs::path>> layer_folders(const json& image, const fs::path& storage,
                                            std::string_view name) {
  const json data = image.value("/GraphDriver/Data"_json_pointer, json::object());
  if (!data.is_object()) return Error{ErrorCode::internal, "podman tells no layers of an image"};
  std::vector<std::string> given;
  if (const auto upper = data.find("UpperDir"); upper != data.end() && upper->is_string())
    given.push_back(upper->get<std::string>());
  if (const auto lower = data.find("LowerDir"); lower != data.end() && lower->is_string()) {
    const auto text = lower->get<std::string>();
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find(':', begin), text.size());
      given.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  if (given.empty()) return unusable(name, "has no layers: there is nothing to run in it");
  if (given.size() > max_layers)
    return unusable(name, "has " + std::to_string(given.size()) + " layers, more than 500");
  std::vector<fs::path> layers;
  for (auto entry = given.rbegin(); entry != given.rend(); ++entry) {
    FR_TRY(auto folder, layer_folder(*entry, storage));
    layers.push_back(std::move(folder));
  }
  return layers;
}

bool is_image_id(std::string_view id) {
  return id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<ImageFacts> facts_of(const json& image, std::string_view name, const fs::path& storage) {
  ImageFacts facts;
  facts.name = name;
  FR_TRY(facts.id, text_field(image, "Id", name));
  if (!is_image_id(facts.id))
    return Error{ErrorCode::internal, "podman gives an image a strange id"};
  FR_TRY(facts.digest, text_field(image, "Digest", name));
  FR_TRY(facts.created, text_field(image, "Created", name));
  FR_TRY(facts.layers, layer_folders(image, storage, name));
  const json config = image.contains("Config") ? image["Config"] : json();
  if (!config.is_object()) {
    facts.working_dir = "/";
    return facts;
  }
  FR_TRY(facts.user, text_field(config, "User", name));
  FR_TRY(facts.working_dir, text_field(config, "WorkingDir", name));
  if (!facts.working_dir.starts_with('/')) facts.working_dir.insert(0, "/");
  FR_TRY(facts.env, list_field(config, "Env", name));
  std::erase_if(facts.env, [](const std::string& entry) {
    return entry.find('=') == std::string::npos || entry.starts_with('=');
  });
  FR_TRY(facts.entrypoint, list_field(config, "Entrypoint", name));
  FR_TRY(facts.cmd, list_field(config, "Cmd", name));
  return facts;
}

json to_json(const ImageFacts& facts) {
  json layers = json::array();
  for (const fs::path& layer : facts.layers) layers.push_back(layer.string());
  return {{"name", facts.name},
          {"id", facts.id},
          {"digest", facts.digest},
          {"layers", std::move(layers)},
          {"env", facts.env},
          {"user", facts.user},
          {"entrypoint", facts.entrypoint},
          {"cmd", facts.cmd},
          {"created", facts.created},
          {"working_dir", facts.working_dir}};
}

ImageFacts from_json(const json& value) {
  ImageFacts facts;
  facts.name = value.at("name");
  facts.id = value.at("id");
  facts.digest = value.at("digest");
  for (const json& layer : value.at("layers")) facts.layers.emplace_back(layer.get<std::string>());
  facts.env = value.at("env").get<std::vector<std::string>>();
  facts.user = value.at("user");
  facts.working_dir = value.at("working_dir");
  facts.entrypoint = value.at("entrypoint").get<std::vector<std::string>>();
  facts.cmd = value.at("cmd").get<std::vector<std::string>>();
  facts.created = value.at("created");
  return facts;
}

json to_json(const StoreStamp& stamp) {
  return {{"mtime_ns", stamp.mtime_ns}, {"size", stamp.size}, {"inode", stamp.inode}};
}

/// Throws nlohmann's exceptions.
bool is_current(const json& entry, const std::optional<StoreStamp>& stamp) {
  return stamp && entry.at("version") == cache_version && entry.at("stamp") == to_json(*stamp);
}

}  // namespace

Result<ImageFacts> parse_image_inspection(std::string_view text, std::string_view name,
                                          const fs::path& storage) {
  try {
    const json answer = json::parse(text);
    if (!answer.is_array() || answer.size() != 1 || !answer[0].is_object())
      return Error{ErrorCode::internal, "podman's answer is not a list of one image"};
    return facts_of(answer[0], name, storage);
  } catch (const json::exception& error) {
    return Error{ErrorCode::internal,
                 "podman's answer about an image cannot be read: " + std::string(error.what())};
  }
}

std::optional<StoreStamp> StoreStamp::of(const fs::path& storage) {
  struct stat status {};
  if (::stat((storage / "overlay-images/images.json").c_str(), &status) != 0) return {};
  return StoreStamp{status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec,
                    static_cast<std::int64_t>(status.st_size),
                    static_cast<std::uint64_t>(status.st_ino)};
}

FactsCache::FactsCache(fs::path folder, fs::path storage)
    : folder_(std::move(folder)), storage_(std::move(storage)) {}

fs::path FactsCache::file(std::string_view key) const {
  return folder_ / (sha256_hex(key) + ".json");
}

std::optional<ImageFacts> FactsCache::find(std::string_view key) const {
  const auto text = read_file(file(key), max_cache_file);
  if (!text) return {};
  try {
    const json entry = json::parse(*text);
    if (!is_current(entry, StoreStamp::of(storage_)) || entry.at("key") != key) return {};
    ImageFacts facts = from_json(entry.at("facts"));
    if (!is_image_id(facts.id) || !layers_exist(facts)) return {};
    return facts;
  } catch (const json::exception&) {
    return {};
  }
}

Result<void> FactsCache::put(std::string_view key, const ImageFacts& facts,
                             const StoreStamp& stamp) const {
  const json entry = {{"version", cache_version},
                      {"key", key},
                      {"stamp", to_json(stamp)},
                      {"facts", to_json(facts)}};
  return replace_file(file(key), entry.dump(-1, ' ', false, json::error_handler_t::replace), 0600);
}

void FactsCache::sweep() const {
  const auto stamp = StoreStamp::of(storage_);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const auto text = read_file(entry.path(), max_cache_file);
    bool keep = false;
    try {
      keep = text && is_current(json::parse(*text), stamp);
    } catch (const json::exception&) {
      keep = false;
    }
    if (!keep) fs::remove(entry.path(), ignored);
  }
}

bool layers_exist(const ImageFacts& facts) {
  return !facts.layers.empty() && std::ranges::all_of(facts.layers, [](const fs::path& layer) {
    struct stat status {};
    return ::lstat(layer.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  });
}

}  // namespace flow_runner
