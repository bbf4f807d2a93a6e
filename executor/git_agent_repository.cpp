#include "executor/git_agent_repository.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "config/ref_name.hpp"
#include "executor/git_inflate.hpp"
#include "executor/git_quarantine.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_ref_file_bytes = 4096;
constexpr std::size_t max_packed_refs_bytes = 16 << 20;
constexpr std::size_t max_config_bytes = 64 << 10;
constexpr std::size_t max_refs = 20'000;
constexpr std::size_t max_folders_of_refs = 20'000;
constexpr std::size_t max_packs = 1000;
constexpr int max_symbolic_steps = 5;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

/// Calls `use(line)` for each line, without its end.
template <class Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    use(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string unquoted_value(std::string_view text) {
  std::string value;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      const char escaped = text[++i];
      value += escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == '#' || c == ';')) {
      break;
    } else {
      value += c;
    }
  }
  return quoted ? value : std::string(trimmed(value));
}

Error bad_loose_object(const ObjectId& id, std::string_view why) {
  return {ErrorCode::invalid_input, "loose object " + id.hex() + " is broken: " + std::string(why)};
}

struct LooseHeader {
  ObjectType type = ObjectType::blob;
  std::uint64_t size = 0;
  std::size_t bytes = 0;
};

std::optional<LooseHeader> parse_loose_header(std::string_view text) {
  const auto end = text.find('\0');
  const auto space = text.find(' ');
  if (end == std::string_view::npos || space == std::string_view::npos || space > end) {
    return std::nullopt;
  }
  LooseHeader header{.bytes = end + 1};
  const auto digits = text.substr(space + 1, end - space - 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), header.size);
  if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  for (const ObjectType type :
       {ObjectType::commit, ObjectType::tree, ObjectType::blob, ObjectType::tag}) {
    if (text.substr(0, space) == to_string(type)) {
      header.type = type;
      return header;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<ConfigValue> parse_git_config(std::string_view text) {
  std::vector<ConfigValue> values;
  std::string section;
  std::string continued;
  for_each_line(text, [&](std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.ends_with('\\') && !line.ends_with("\\\\")) {
      continued += line.substr(0, line.size() - 1);
      return;
    }
    const std::string joined = std::exchange(continued, {}) + std::string(line);
    std::string_view rest = trimmed(joined);
    if (rest.starts_with('[')) {
      const auto end = rest.find(']');
      if (end == std::string_view::npos) return;
      section = lower(trimmed(rest.substr(1, end - 1)));
      rest = trimmed(rest.substr(end + 1));
    }
    if (rest.empty() || rest.front() == '#' || rest.front() == ';') return;
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos) {
      values.push_back({.section = section, .name = lower(rest), .value = "true"});
      return;
    }
    values.push_back({.section = section,
                      .name = lower(trimmed(rest.substr(0, equals))),
                      .value = unquoted_value(trimmed(rest.substr(equals + 1)))});
  });
  return values;
}

Result<AgentRepository> AgentRepository::open(const WorkspaceView& workspace,
                                              InflationBudget budget) {
  FR_TRY(const FileFacts facts, workspace.facts(".git"));
  if (facts.kind != FileKind::folder) {
    return Error{ErrorCode::invalid_input, facts.kind == FileKind::absent
                                               ? "the workspace's .git was removed"
                                               : "the workspace's .git is no folder any more"};
  }
  FR_TRY(WorkspaceView folder, workspace.folder(".git"));
  AgentRepository repository(std::move(folder), budget);
  FR_CHECK(repository.read_packed_refs());
  FR_CHECK(repository.read_loose_refs());
  FR_CHECK(repository.read_config());
  return repository;
}

Result<void> AgentRepository::read_packed_refs() {
  FR_TRY(const std::optional<std::string> text,
         folder_.read_regular("packed-refs", max_packed_refs_bytes));
  if (!text) return {};
  for_each_line(*text, [this](std::string_view line) {
    if (line.size() < 42 || line[40] != ' ') return;
    const auto id = ObjectId::parse(line.substr(0, 40), "a packed ref");
    const std::string_view name = line.substr(41);
    const bool wanted = name.starts_with("refs/heads/") || name == "refs/stash";
    if (id && wanted && check_full_ref(name) && refs_.size() < max_refs) {
      refs_.insert_or_assign(std::string(name), *id);
    }
  });
  return {};
}

Result<void> AgentRepository::read_loose_refs() {
  std::vector<std::string> pending{"refs/stash", "refs/heads"};
  for (std::size_t visited = 0; !pending.empty(); ++visited) {
    if (visited > max_folders_of_refs || refs_.size() > max_refs) {
      return Error{ErrorCode::invalid_input, "the workspace's .git has more than 20000 refs"};
    }
    const std::string path = std::move(pending.back());
    pending.pop_back();
    FR_TRY(const FileFacts facts, folder_.facts(path));
    if (facts.kind == FileKind::folder && path.size() < max_ref_name_bytes) {
      FR_TRY(const std::vector<std::string> names, folder_.names(path, max_refs));
      for (const auto& name : names) pending.push_back(path + "/" + name);
    } else if (facts.kind == FileKind::regular && facts.size <= max_ref_file_bytes &&
               check_full_ref(path)) {
      FR_TRY(const std::optional<std::string> text, folder_.read_regular(path, max_ref_file_bytes));
      const auto id = ObjectId::parse(trimmed(text.value_or("")), "a ref");
      if (id) refs_.insert_or_assign(path, *id);
    }
  }
  return {};
}

Result<void> AgentRepository::read_config() {
  FR_TRY(const FileFacts sparse, folder_.facts("info/sparse-checkout"));
  sparse_checkout_ = sparse.kind == FileKind::regular;
  FR_TRY(const FileFacts facts, folder_.facts("config"));
  // Too large a configuration costs its author the name in a commit, nothing else.
  if (facts.kind != FileKind::regular || facts.size > max_config_bytes) return {};
  FR_TRY(const std::optional<std::string> text, folder_.read_regular("config", max_config_bytes));
  std::string name;
  std::string mail;
  for (const auto& value : parse_git_config(text.value_or(""))) {
    if (value.section == "user" && value.name == "name") name = value.value;
    if (value.section == "user" && value.name == "email") mail = value.value;
  }
  constexpr std::size_t max_identity_bytes = 256;
  if (name.size() > max_identity_bytes || mail.size() > max_identity_bytes) return {};
  // Brackets would let the name pass for the mail.
  std::erase_if(name, [](char c) { return c == '<' || c == '>'; });
  std::erase_if(mail, [](char c) { return c == '<' || c == '>'; });
  if (auto user = clean_identity(name + " <" + mail + ">")) user_ = *user;
  return {};
}

Result<std::optional<ObjectId>> AgentRepository::head() const {
  std::string name = "HEAD";
  for (int step = 0; step < max_symbolic_steps; ++step) {
    FR_TRY(const std::optional<std::string> text, folder_.read_regular(name, max_ref_file_bytes));
    if (!text) {
      const auto packed = refs_.find(name);
      if (packed != refs_.end()) return std::optional(packed->second);
      if (name != "HEAD") return std::optional<ObjectId>{};
      return Error{ErrorCode::invalid_input, "the workspace's HEAD is no regular file"};
    }
    const std::string_view value = trimmed(*text);
    if (!value.starts_with("ref:")) {
      FR_TRY(const ObjectId id, ObjectId::parse(value, "the workspace's HEAD"));
      return std::optional(id);
    }
    name = trimmed(value.substr(4));
    if (!name.starts_with("refs/") || !check_full_ref(name)) {
      return Error{ErrorCode::invalid_input, "the workspace's HEAD names no good ref"};
    }
  }
  return Error{ErrorCode::invalid_input, "the workspace's HEAD leads through more than 5 refs"};
}

std::vector<std::pair<std::string, ObjectId>> AgentRepository::branches() const {
  constexpr std::string_view prefix = "refs/heads/";
  std::vector<std::pair<std::string, ObjectId>> found;
  for (const auto& [name, id] : refs_) {
    if (name.starts_with(prefix)) found.emplace_back(name.substr(prefix.size()), id);
  }
  return found;
}

std::optional<ObjectId> AgentRepository::stash() const {
  const auto found = refs_.find("refs/stash");
  return found == refs_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::optional<RawObject>> AgentRepository::find(const ObjectId& id) {
  FR_TRY(std::optional<RawObject> object, find_loose(id));
  if (!object) {
    FR_CHECK(read_packs());
    for (const auto& pack : packs_) {
      FR_TRY(object, pack.find(id, budget_));
      if (object) break;
    }
  }
  if (!object) return std::optional<RawObject>{};
  FR_TRY(const ObjectId actual, Quarantine::hash(object->type, object->data));
  if (actual != id) return bad_loose_object(id, "its content has another id");
  return object;
}

Result<std::optional<RawObject>> AgentRepository::find_loose(const ObjectId& id) {
  const std::string hex = id.hex();
  const std::string path = "objects/" + hex.substr(0, 2) + "/" + hex.substr(2);
  FR_TRY(const std::optional<OpenedFile> file, folder_.open_regular(path));
  if (!file) return std::optional<RawObject>{};
  if (file->size > budget_.max_object_bytes + (1U << 20U)) {
    return bad_loose_object(
        id, "it is over the limit of " + std::to_string(budget_.max_object_bytes) + " bytes");
  }
  FR_TRY(const MappedFile mapped, MappedFile::map(*file));
  constexpr std::size_t max_header_bytes = 64;
  FR_TRY(const Inflation begin, inflate_at_most(mapped.bytes(), max_header_bytes));
  const auto header = parse_loose_header(begin.bytes);
  if (!header) return bad_loose_object(id, "it has no header");
  FR_CHECK(budget_.charge(header->size));
  const std::uint64_t size = header->bytes + header->size;
  FR_TRY(Inflation all, inflate_at_most(mapped.bytes(), size));
  if (!all.complete || all.bytes.size() != size) {
    return bad_loose_object(id, "it does not have the size that it states");
  }
  all.bytes.erase(0, header->bytes);
  return std::optional(RawObject{.type = header->type, .data = std::move(all.bytes)});
}

Result<void> AgentRepository::read_packs() {
  if (packs_read_) return {};
  packs_read_ = true;
  FR_TRY(const std::vector<std::string> names, folder_.names("objects/pack", 100'000));
  for (const auto& name : names) {
    if (!name.ends_with(".pack")) continue;
    if (packs_.size() == max_packs) {
      return Error{ErrorCode::invalid_input, "the workspace's .git has more than 1000 packs"};
    }
    FR_TRY(const std::optional<OpenedFile> file, folder_.open_regular("objects/pack/" + name));
    if (!file) continue;
    FR_TRY(AgentPack pack, AgentPack::open(*file, budget_));
    packs_.push_back(std::move(pack));
  }
  return {};
}

}  // namespace flow_runner
