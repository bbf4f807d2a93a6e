#include "config/registry_addresses.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "config/network_presets.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_file_bytes = 1 << 20;
constexpr std::size_t max_source_lists = 100;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\"'";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Calls `line` with each line that is no comment.
template <class Line>
void for_each_line(std::string_view text, Line line) {
  std::istringstream stream{std::string(text)};
  for (std::string one; std::getline(stream, one);) {
    const auto content = trimmed(one);
    if (!content.empty() && content.front() != '#' && content.front() != ';') line(content);
  }
}

void add_words(std::string_view text, std::vector<std::string>& words) {
  std::istringstream stream{std::string(text)};
  for (std::string word; stream >> word;) words.push_back(word);
}

std::string start_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(max_file_bytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
  return text;
}

void append(std::vector<std::string>& all, std::vector<std::string> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

std::vector<std::string> npm_registries(std::string_view npmrc) {
  std::vector<std::string> addresses;
  for_each_line(npmrc, [&](std::string_view line) {
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return;
    const auto key = trimmed(line.substr(0, equals));
    const bool scoped = key.starts_with('@') && key.ends_with(":registry");
    if (key == "registry" || scoped) addresses.emplace_back(trimmed(line.substr(equals + 1)));
  });
  return addresses;
}

std::vector<std::string> pip_registries(std::string_view pip_conf) {
  std::vector<std::string> addresses;
  for_each_line(pip_conf, [&](std::string_view line) {
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return;
    const auto key = trimmed(line.substr(0, equals));
    if (key == "index-url" || key == "extra-index-url" || key == "find-links")
      add_words(line.substr(equals + 1), addresses);
  });
  return addresses;
}

std::vector<std::string> apt_registries(std::string_view sources) {
  std::vector<std::string> addresses;
  for_each_line(sources, [&](std::string_view line) {
    if (line.starts_with("URIs:")) return add_words(line.substr(5), addresses);
    if (!line.starts_with("deb ") && !line.starts_with("deb-src ")) return;
    std::string_view rest = trimmed(line.substr(line.find(' ')));
    if (rest.starts_with('[')) {
      const auto close = rest.find(']');
      if (close == std::string_view::npos) return;
      rest = trimmed(rest.substr(close + 1));
    }
    addresses.emplace_back(rest.substr(0, rest.find(' ')));
  });
  return addresses;
}

std::vector<NetworkRule> registry_rules() {
  std::vector<std::string> addresses;
  const char* home = std::getenv("HOME");
  const fs::path user = home != nullptr ? home : "/nonexistent";
  for (const fs::path& file : {user / ".npmrc", fs::path("/etc/npmrc"), fs::path("/usr/etc/npmrc"),
                               fs::path("/usr/local/etc/npmrc")})
    append(addresses, npm_registries(start_of(file)));
  for (const fs::path& file :
       {user / ".config/pip/pip.conf", user / ".pip/pip.conf", fs::path("/etc/pip.conf")})
    append(addresses, pip_registries(start_of(file)));
  append(addresses, apt_registries(start_of("/etc/apt/sources.list")));
  std::error_code error;
  std::size_t lists = 0;
  for (fs::directory_iterator entry("/etc/apt/sources.list.d", error), end;
       !error && entry != end && lists < max_source_lists; entry.increment(error), ++lists)
    append(addresses, apt_registries(start_of(entry->path())));
  for (const char* name :
       {"NPM_CONFIG_REGISTRY", "npm_config_registry", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"})
    if (const char* value = std::getenv(name)) add_words(value, addresses);
  std::vector<NetworkRule> rules;
  for (const auto& address : addresses) {
    auto rule = rule_from_url(address, "preset registries");
    if (rule && std::find(rules.begin(), rules.end(), *rule) == rules.end())
      rules.push_back(std::move(*rule));
  }
  return rules;
}

}  // namespace flow_runner
