#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

#include "sandbox/id_map.hpp"
#include "sandbox/image_files.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_database = 1 << 20;
/// A job's range holds the ids from 0 to here: whatever is above would be somebody else's on the
/// host.
constexpr std::uint32_t max_id = IdRange::size - 1;
constexpr std::size_t max_groups = 1024;

std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id > max_id) return {};
  return id;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string shown_word(std::string_view text) {
  std::string out(text.substr(0, 64));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return out;
}

/// Calls back with the fields of each line that has at least `least`, until it returns true.
void each_line(std::string_view text, std::size_t least,
               const std::function<bool(const std::vector<std::string_view>&)>& callback) {
  std::vector<std::string_view> fields;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    fields.clear();
    for (std::size_t at = 0; at <= line.size();) {
      const std::size_t colon = std::min(line.find(':', at), line.size());
      fields.push_back(line.substr(at, colon - at));
      at = colon + 1;
    }
    if (fields.size() >= least && !fields.front().empty() && callback(fields)) return;
  }
}

/// An image need not have the file; one that is not readable as a list of names counts as an error.
Result<std::string> database(const ImageFiles& files, std::string_view path) {
  auto text = files.read(path, max_database);
  if (!text && text.error().code == ErrorCode::not_found) return std::string();
  return text;
}

std::string safe_home(std::string_view home) {
  const bool plain = std::ranges::none_of(
      home, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
  return home.starts_with('/') && home.size() < 4096 && plain ? std::string(home) : "/";
}

struct Group {
  std::uint32_t gid;
  std::string_view name;
  std::string_view members;
};

void each_group(std::string_view text, const std::function<bool(const Group&)>& callback) {
  each_line(text, 3, [&](const std::vector<std::string_view>& fields) {
    const auto gid = parse_id(fields[2]);
    return gid && callback({*gid, fields[0], fields.size() > 3 ? fields[3] : std::string_view()});
  });
}

bool has_member(std::string_view members, std::string_view name) {
  for (std::size_t begin = 0; begin <= members.size();) {
    const std::size_t end = std::min(members.find(',', begin), members.size());
    if (members.substr(begin, end - begin) == name) return true;
    begin = end + 1;
  }
  return false;
}

Result<std::uint32_t> find_group(std::string_view groups, std::string_view wanted) {
  std::optional<std::uint32_t> found;
  each_group(groups, [&](const Group& group) {
    if (group.name == wanted) found = group.gid;
    return found.has_value();
  });
  if (!found && is_number(wanted)) found = parse_id(wanted);
  if (!found)
    return Error{ErrorCode::invalid_input,
                 "the image's group '" + shown_word(wanted) +
                     "' is neither in its /etc/group nor an id up to 65535"};
  return *found;
}

}  // namespace

Result<ImageUser> resolve_user(const std::vector<std::filesystem::path>& layers,
                               std::string_view user) {
  const std::size_t colon = user.find(':');
  const std::string_view asked = user.substr(0, colon);
  const std::string_view wanted = asked.empty() ? std::string_view("0") : asked;
  const std::string_view group =
      colon == std::string_view::npos ? std::string_view() : user.substr(colon + 1);

  const ImageFiles files(layers);
  FR_TRY(const std::string passwd, database(files, "/etc/passwd"));
  ImageUser result;
  std::optional<std::uint32_t> uid;
  std::string name;
  const auto number = is_number(wanted) ? parse_id(wanted) : std::nullopt;
  each_line(passwd, 4, [&](const std::vector<std::string_view>& fields) {
    const auto listed = parse_id(fields[2]);
    const auto gid = parse_id(fields[3]);
    if (!listed || !gid) return false;
    if (fields[0] != wanted && (!number || *listed != *number)) return false;
    uid = *listed;
    result.gid = *gid;
    name = fields[0];
    if (fields.size() > 5) result.home = safe_home(fields[5]);
    return true;
  });
  if (!uid) uid = number;
  if (!uid)
    return Error{ErrorCode::invalid_input,
                 "the image's user '" + shown_word(wanted) +
                     "' is neither in its /etc/passwd nor an id up to 65535"};
  result.uid = *uid;
  if (name.empty() && result.uid == 0) result.home = "/root";

  if (group.empty() && name.empty()) return result;
  FR_TRY(const std::string groups, database(files, "/etc/group"));
  if (!group.empty()) {
    FR_TRY(result.gid, find_group(groups, group));
    return result;
  }
  each_group(groups, [&](const Group& entry) {
    if (has_member(entry.members, name)) result.groups.push_back(entry.gid);
    return result.groups.size() >= max_groups;
  });
  std::ranges::sort(result.groups);
  const auto repeated = std::ranges::unique(result.groups);
  result.groups.erase(repeated.begin(), repeated.end());
  return result;
}

}  // namespace flow_runner
