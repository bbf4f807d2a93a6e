#include "executor/git_object_format.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace flow_runner {
namespace {

constexpr std::size_t max_parents = 1000;

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::optional<EntryMode> exact_mode(std::uint32_t mode) noexcept {
  switch (static_cast<EntryMode>(mode)) {
    case EntryMode::tree:
    case EntryMode::file:
    case EntryMode::executable:
    case EntryMode::symlink:
    case EntryMode::gitlink:
      return static_cast<EntryMode>(mode);
  }
  return std::nullopt;
}

std::optional<EntryMode> mode_by_type(std::uint32_t mode) noexcept {
  switch (mode & 0170000) {
    case 0040000:
      return EntryMode::tree;
    case 0100000:
      return (mode & 0100) != 0 ? EntryMode::executable : EntryMode::file;
    case 0120000:
      return EntryMode::symlink;
    case 0160000:
      return EntryMode::gitlink;
    default:
      return std::nullopt;
  }
}

Error bad_tree(std::string_view why) {
  return {ErrorCode::invalid_input, "tree object is broken: " + std::string(why)};
}

struct RawEntry {
  std::uint32_t mode = 0;
  bool padded = false;
  std::string_view name;
  ObjectId id;
};

Result<RawEntry> take_entry(std::string_view& data) {
  RawEntry entry;
  std::size_t digits = 0;
  entry.padded = data.starts_with('0');
  while (digits < data.size() && data[digits] >= '0' && data[digits] <= '7' && digits < 7) {
    entry.mode = entry.mode * 8 + static_cast<std::uint32_t>(data[digits] - '0');
    ++digits;
  }
  if (digits == 0 || digits >= data.size() || data[digits] != ' ') {
    return bad_tree("an entry's mode cannot be read");
  }
  data.remove_prefix(digits + 1);
  const auto end = data.find('\0');
  if (end == std::string_view::npos || data.size() - end - 1 < entry.id.bytes.size()) {
    return bad_tree("it is cut off");
  }
  entry.name = data.substr(0, end);
  if (entry.name.empty() || entry.name.find('/') != std::string_view::npos) {
    return bad_tree("an entry's name is empty or holds a slash");
  }
  std::memcpy(entry.id.bytes.data(), data.data() + end + 1, entry.id.bytes.size());
  data.remove_prefix(end + 1 + entry.id.bytes.size());
  return entry;
}

/// Without the code points that HFS+ ignores in names, in lower case.
std::string folded(std::string_view name) {
  std::string result;
  for (std::size_t i = 0; i < name.size();) {
    const auto three = name.substr(i, 3);
    if (three.size() == 3) {
      const auto second = static_cast<unsigned char>(three[1]);
      const auto third = static_cast<unsigned char>(three[2]);
      const bool ignored =
          (three[0] == '\xe2' && ((second == 0x80 && ((third >= 0x8c && third <= 0x8f) ||
                                                      (third >= 0xaa && third <= 0xae))) ||
                                  (second == 0x81 && third >= 0xaa && third <= 0xaf))) ||
          three == "\xef\xbb\xbf";
      if (ignored) {
        i += 3;
        continue;
      }
    }
    result += lower(name[i++]);
  }
  return result;
}

bool component_names_dot_git(std::string_view component) {
  std::string name = folded(component);
  name.resize(std::min(name.find(':'), name.size()));
  while (name.ends_with('.') || name.ends_with(' ')) name.pop_back();
  return name == ".git" || name == "git~1";
}

Result<ObjectId> take_id(std::string_view& header, std::string_view key) {
  if (!header.starts_with(key) || header.size() < key.size() + 41 ||
      header[key.size() + 40] != '\n') {
    return Error{ErrorCode::invalid_input,
                 "commit object is broken: no good '" + std::string(key) + "' line"};
  }
  FR_TRY(const ObjectId id, ObjectId::parse(header.substr(key.size(), 40), "commit object"));
  header.remove_prefix(key.size() + 41);
  return id;
}

Result<std::string_view> take_person(std::string_view& header, std::string_view key) {
  const auto end = header.find('\n');
  if (!header.starts_with(key) || end == std::string_view::npos) {
    return Error{ErrorCode::invalid_input,
                 "commit object is broken: no '" + std::string(key) + "' line"};
  }
  const auto line = header.substr(0, end);
  header.remove_prefix(end + 1);
  return line;
}

}  // namespace

std::string ObjectId::hex() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(40);
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

Result<ObjectId> ObjectId::parse(std::string_view hex, std::string_view what) {
  const Error bad{ErrorCode::invalid_input, std::string(what) + " is not an id of 40 hex digits"};
  if (hex.size() != 40) return bad;
  ObjectId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const int high = hex_digit(hex[2 * i]);
    const int low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return bad;
    id.bytes[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return id;
}

std::size_t ObjectIdHash::operator()(const ObjectId& id) const noexcept {
  std::size_t value = 0;
  std::memcpy(&value, id.bytes.data(), sizeof value);
  return value;
}

std::string_view to_string(ObjectType type) noexcept {
  switch (type) {
    case ObjectType::commit:
      return "commit";
    case ObjectType::tree:
      return "tree";
    case ObjectType::blob:
      return "blob";
    case ObjectType::tag:
      return "tag";
  }
  return "blob";
}

Result<std::vector<TreeEntry>> parse_tree(std::string_view data) {
  std::vector<TreeEntry> entries;
  while (!data.empty()) {
    FR_TRY(const RawEntry raw, take_entry(data));
    const auto mode = mode_by_type(raw.mode);
    if (!mode) return bad_tree("an entry's mode is unknown");
    entries.push_back({.mode = *mode, .name = std::string(raw.name), .id = raw.id});
  }
  return entries;
}

Result<std::vector<TreeEntry>> parse_untrusted_tree(std::string_view data) {
  std::vector<TreeEntry> entries;
  while (!data.empty()) {
    FR_TRY(const RawEntry raw, take_entry(data));
    const auto mode = exact_mode(raw.mode);
    if (!mode || raw.padded) return bad_tree("an entry's mode is none that git writes");
    if (raw.name == "." || raw.name == ".." || names_dot_git(raw.name)) {
      return bad_tree("an entry is named like '.', '..' or '.git'");
    }
    if (raw.id.is_zero()) return bad_tree("an entry has the zero id");
    TreeEntry entry{.mode = *mode, .name = std::string(raw.name), .id = raw.id};
    if (!entries.empty() && !tree_order(entries.back(), entry)) {
      return bad_tree("its entries are not in git's order");
    }
    entries.push_back(std::move(entry));
  }
  // A file `a` and a folder `a` need not be neighbours in git's order: `a`, `a-b`, `a/`.
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const auto& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) {
    return bad_tree("it has an entry twice");
  }
  return entries;
}

bool tree_order(const TreeEntry& left, const TreeEntry& right) noexcept {
  const auto common = std::min(left.name.size(), right.name.size());
  const int order = std::memcmp(left.name.data(), right.name.data(), common);
  if (order != 0) return order < 0;
  const auto next = [common](const TreeEntry& entry) -> int {
    if (common < entry.name.size()) return static_cast<unsigned char>(entry.name[common]);
    return entry.mode == EntryMode::tree ? '/' : 0;
  };
  return next(left) < next(right);
}

std::string format_tree(std::vector<TreeEntry> entries) {
  std::sort(entries.begin(), entries.end(), tree_order);
  std::string data;
  for (const auto& entry : entries) {
    char mode[8];
    const auto end =
        std::to_chars(mode, mode + sizeof mode, static_cast<std::uint32_t>(entry.mode), 8);
    data.append(mode, end.ptr);
    data += ' ';
    data += entry.name;
    data += '\0';
    data.append(reinterpret_cast<const char*>(entry.id.bytes.data()), entry.id.bytes.size());
  }
  return data;
}

bool names_dot_git(std::string_view name) {
  while (true) {
    const auto end = name.find('\\');
    if (component_names_dot_git(name.substr(0, end))) return true;
    if (end == std::string_view::npos) return false;
    name.remove_prefix(end + 1);
  }
}

Result<ParsedCommit> parse_commit(std::string_view data) {
  std::string_view header = data.substr(0, std::min(data.find("\n\n"), data.size() - 1) + 1);
  if (data.empty() || header.find('\0') != std::string_view::npos) {
    return Error{ErrorCode::invalid_input, "commit object is broken: its header is no text"};
  }
  ParsedCommit commit;
  FR_TRY(commit.tree, take_id(header, "tree "));
  while (header.starts_with("parent ")) {
    FR_TRY(const ObjectId parent, take_id(header, "parent "));
    if (commit.parents.size() == max_parents) {
      return Error{ErrorCode::invalid_input, "commit object has more than 1000 parents"};
    }
    commit.parents.push_back(parent);
  }
  FR_CHECK(take_person(header, "author "));
  FR_TRY(const std::string_view committer, take_person(header, "committer "));
  const auto stamp = committer.rfind("> ");
  if (stamp != std::string_view::npos) {
    const auto digits = committer.substr(stamp + 2);
    std::from_chars(digits.data(), digits.data() + digits.size(), commit.time);
  }
  return commit;
}

Result<std::string> clean_identity(std::string_view identity) {
  const auto open = identity.rfind('<');
  const auto close = identity.rfind('>');
  const auto clean = [](std::string_view text) {
    std::string kept;
    for (const char c : text) {
      if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '<' && c != '>') kept += c;
    }
    const auto first = kept.find_first_not_of(' ');
    if (first == std::string::npos) return std::string{};
    return kept.substr(first, kept.find_last_not_of(' ') - first + 1);
  };
  if (open != std::string_view::npos && close != std::string_view::npos && open < close) {
    const std::string name = clean(identity.substr(0, open));
    const std::string mail = clean(identity.substr(open + 1, close - open - 1));
    if (!name.empty() && !mail.empty()) return name + " <" + mail + ">";
  }
  return Error{ErrorCode::invalid_input,
               "an author or committer must be given as \"Name <mail>\" with neither part empty"};
}

std::string format_commit(const CommitFields& fields) {
  const std::string stamp = " " + std::to_string(fields.time) + " +0000\n";
  std::string data = "tree " + fields.tree.hex() + "\nparent " + fields.parent.hex() + "\n";
  data += "author " + fields.author + stamp;
  data += "committer " + fields.committer + stamp;
  // git stops reading a message at NUL.
  std::string message = fields.message;
  std::erase(message, '\0');
  data += "\n" + message;
  if (!message.ends_with('\n')) data += '\n';
  return data;
}

}  // namespace flow_runner
