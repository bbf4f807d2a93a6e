#include "sandbox/image_reference.hpp"

#include <algorithm>
#include <cstdint>

#include "config/glob.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_reference = 512;
constexpr std::size_t max_name =
    255;  // of registry and repository together, in the distribution spec

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_upper(c) || is_digit(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

/// The reference as it may stand in a message: the flow's author wrote it.
std::string shown_reference(std::string_view text) {
  std::string out(text.substr(0, 120));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  if (text.size() > 120) out += "...";
  return out;
}

Error wrong(std::string_view text, std::string_view why) {
  return {ErrorCode::invalid_input, "image '" + shown_reference(text) + "': " + std::string(why)};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// domain-component: letters, digits and inner dashes.
bool valid_domain_component(std::string_view part) {
  return !part.empty() && is_alnum(part.front()) && is_alnum(part.back()) &&
         std::ranges::all_of(part, [](char c) { return is_alnum(c) || c == '-'; });
}

bool valid_host(std::string_view host) {
  if (host.starts_with('[')) {
    return host.size() > 3 && host.ends_with(']') &&
           std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) {
             return is_hex(c) || (c >= 'A' && c <= 'F') || c == ':';
           });
  }
  return std::ranges::all_of(split(host, '.'), valid_domain_component);
}

bool valid_port(std::string_view port) {
  if (port.empty() || port.size() > 5 || !std::ranges::all_of(port, is_digit)) return false;
  std::uint32_t number = 0;
  for (const char c : port) number = number * 10 + static_cast<std::uint32_t>(c - '0');
  return number >= 1 && number <= 65535;
}

Result<void> check_registry(std::string_view text, std::string_view registry) {
  const std::size_t bracket = registry.rfind(']');
  const std::size_t colon = registry.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (!valid_host(registry.substr(0, colon)))
    return wrong(text, "the registry '" + shown_reference(registry) + "' is not a host name");
  if (colon != std::string_view::npos && !valid_port(registry.substr(colon + 1)))
    return wrong(text, "the registry's port must be a number from 1 to 65535");
  return {};
}

/// path-component: [a-z0-9]+ joined by one dot, one or two underscores, or any number of dashes.
bool valid_path_component(std::string_view part) {
  for (std::size_t i = 0; i < part.size();) {
    const std::size_t word = i;
    while (i < part.size() && (is_lower(part[i]) || is_digit(part[i]))) ++i;
    if (i == word) return false;
    if (i == part.size()) return true;
    const std::size_t joint = i;
    while (i < part.size() && (part[i] == '.' || part[i] == '_' || part[i] == '-')) ++i;
    const std::string_view separator = part.substr(joint, i - joint);
    const bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
  }
  return false;
}

Result<void> check_repository(std::string_view text, std::string_view repository) {
  for (const std::string_view part : split(repository, '/')) {
    if (part.empty()) return wrong(text, "an empty part in the name");
    if (std::ranges::any_of(part, is_upper))
      return wrong(text, "the name must be lower case ('" + shown_reference(part) + "')");
    if (!valid_path_component(part))
      return wrong(text, "'" + shown_reference(part) +
                             "' is not valid in a name: lower-case letters and digits, joined by "
                             "one of . _ __ -");
  }
  return {};
}

Result<void> check_tag(std::string_view text, std::string_view tag) {
  if (tag.empty()) return wrong(text, "nothing follows the ':'; give a tag or leave the ':' out");
  if (tag.size() > 128) return wrong(text, "the tag is longer than 128 characters");
  if (!is_alnum(tag.front()) && tag.front() != '_')
    return wrong(text, "the tag must begin with a letter, a digit or _");
  if (!std::ranges::all_of(tag,
                           [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; }))
    return wrong(text,
                 "the tag '" + shown_reference(tag) + "' may hold letters, digits and _ . - only");
  return {};
}

Result<void> check_digest(std::string_view text, std::string_view digest) {
  constexpr std::string_view algorithm = "sha256:";
  if (!digest.starts_with(algorithm))
    return wrong(text, "the digest after '@' must be sha256:<64 hex digits>");
  const std::string_view hex = digest.substr(algorithm.size());
  if (hex.size() != 64 || !std::ranges::all_of(hex, is_hex))
    return wrong(text, "the digest must have 64 lower-case hex digits, it has " +
                           std::to_string(hex.size()) + " characters");
  return {};
}

/// Docker's rule for when the part before the first slash is a registry.
bool looks_like_registry(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:[") != std::string_view::npos ||
         std::ranges::any_of(part, is_upper);
}

/// Where a tag begins: the last colon, if no slash follows it.
std::size_t tag_colon(std::string_view name) {
  const std::size_t colon = name.rfind(':');
  const std::size_t slash = name.rfind('/');
  if (colon == std::string_view::npos) return colon;
  return slash != std::string_view::npos && slash > colon ? std::string_view::npos : colon;
}

std::string complete_pattern(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos) return "docker.io/library/" + std::string(name);
  const std::string_view first = name.substr(0, slash);
  if (first == "*" || first == "**" || looks_like_registry(first)) return std::string(name);
  return "docker.io/" + std::string(name);
}

bool matches(std::string_view pattern, const ImageReference& reference) {
  if (pattern == "*" || pattern == "**") return true;
  const std::size_t at = pattern.find('@');
  if (at != std::string_view::npos && pattern.substr(at + 1) != reference.digest) return false;
  std::string_view name = pattern.substr(0, at);
  if (const std::size_t colon = tag_colon(name); colon != std::string_view::npos) {
    const std::string_view tag = name.substr(colon + 1);
    if (tag != "*" && !path_glob_match(tag, reference.tag)) return false;
    name = name.substr(0, colon);
  }
  return path_glob_match(complete_pattern(name), reference.full_repository());
}

}  // namespace

Result<ImageReference> ImageReference::parse(std::string_view text) {
  if (text.empty()) return Error{ErrorCode::invalid_input, "the image's name is empty"};
  if (text.size() > max_reference)
    return wrong(text, "longer than " + std::to_string(max_reference) + " bytes");

  ImageReference reference;
  std::string_view name = text;
  if (const std::size_t at = name.find('@'); at != std::string_view::npos) {
    FR_CHECK(check_digest(text, name.substr(at + 1)));
    reference.digest = name.substr(at + 1);
    name = name.substr(0, at);
  }
  if (const std::size_t colon = tag_colon(name); colon != std::string_view::npos) {
    FR_CHECK(check_tag(text, name.substr(colon + 1)));
    reference.tag = name.substr(colon + 1);
    name = name.substr(0, colon);
  } else if (reference.digest.empty()) {
    reference.tag = "latest";
  }

  reference.registry = "docker.io";
  const std::size_t slash = name.find('/');
  if (slash != std::string_view::npos && looks_like_registry(name.substr(0, slash))) {
    FR_CHECK(check_registry(text, name.substr(0, slash)));
    reference.registry_given = true;
    if (name.substr(0, slash) != "index.docker.io") reference.registry = name.substr(0, slash);
    name = name.substr(slash + 1);
  }
  FR_CHECK(check_repository(text, name));
  // Docker keeps such names for image ids, and podman would look one up.
  if (!reference.registry_given && name.size() == 64 && std::ranges::all_of(name, is_hex))
    return wrong(text, "an image id is not a name; give the name of a repository");
  reference.repository = name;
  if (reference.registry == "docker.io" && name.find('/') == std::string_view::npos)
    reference.repository = "library/" + reference.repository;
  if (reference.full_repository().size() > max_name)
    return wrong(text, "registry and name are longer than " + std::to_string(max_name) + " bytes");
  return reference;
}

std::string ImageReference::full_repository() const { return registry + "/" + repository; }

std::string ImageReference::normalized() const {
  std::string text = full_repository();
  if (!tag.empty()) text += ":" + tag;
  if (!digest.empty()) text += "@" + digest;
  return text;
}

std::string ImageReference::pull_name() const {
  return full_repository() + (digest.empty() ? ":" + tag : "@" + digest);
}

bool allowed(const std::vector<std::string>& patterns, const ImageReference& reference) {
  return std::ranges::any_of(patterns,
                             [&](const auto& pattern) { return matches(pattern, reference); });
}

PullPolicy effective_pull_policy(std::optional<PullPolicy> asked, const ImageReference& reference,
                                 PullPolicy configured) {
  if (reference.local_only()) return PullPolicy::never;
  if (asked) return *asked;
  const bool moving = reference.tag == "latest" && reference.digest.empty();
  if (configured == PullPolicy::if_not_present && moving) return PullPolicy::always;
  return configured;
}

}  // namespace flow_runner
