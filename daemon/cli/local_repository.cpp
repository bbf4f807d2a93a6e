#include "daemon/cli/local_repository.hpp"

#include <cctype>
#include <system_error>

#include "sandbox/descriptor.hpp"

namespace flow_runner::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_small_file = 64 << 10;
constexpr std::size_t max_config_file = 4 << 20;

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string first_line(const fs::path& file) {
  const auto text = read_file(file, max_small_file);
  return text ? text->substr(0, text->find_first_of("\r\n")) : std::string();
}

// A symbolic ref's target below `prefix`; empty for a detached or missing one.
std::string symbolic_target(const fs::path& file, std::string_view prefix) {
  const std::string line = first_line(file);
  const std::string start = "ref: " + std::string(prefix);
  return line.starts_with(start) ? line.substr(start.size()) : std::string();
}

// A linked work tree or a submodule has a file that names the real folder.
Result<fs::path> git_dir_of(const fs::path& dot_git) {
  std::error_code error;
  if (fs::is_directory(dot_git, error)) return dot_git;
  const std::string line = first_line(dot_git);
  if (!line.starts_with("gitdir: "))
    return Error{ErrorCode::invalid_input,
                 dot_git.string() + " is neither a git folder nor names one"};
  return (dot_git.parent_path() / line.substr(8)).lexically_normal();
}

bool is_bare_repository(const fs::path& folder) {
  return is_there(folder / "HEAD") && is_there(folder / "objects") && is_there(folder / "refs");
}

Result<LocalRepository> read_repository(const fs::path& folder, const fs::path& git_dir,
                                        bool bare) {
  LocalRepository repository;
  repository.folder = folder;
  repository.common_dir = git_dir;
  repository.bare = bare;
  if (const std::string common = first_line(git_dir / "commondir"); !common.empty())
    repository.common_dir = (git_dir / common).lexically_normal();
  if (!is_there(git_dir / "HEAD"))
    return Error{ErrorCode::invalid_input,
                 git_dir.string() + " is not a git repository: it has no HEAD"};
  repository.head_branch = symbolic_target(git_dir / "HEAD", "refs/heads/");
  repository.default_branch =
      symbolic_target(repository.common_dir / "refs/remotes/origin/HEAD", "refs/remotes/origin/");
  FR_TRY(const std::string config, read_file(repository.common_dir / "config", max_config_file));
  repository.origin = config_value(config, "remote \"origin\"", "url");
  return repository;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

bool same_word(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(a[i])) !=
        std::tolower(static_cast<unsigned char>(b[i])))
      return false;
  return true;
}

// git-config(1), "Values": quotes, escapes, and comments outside of quotes.
std::string plain_value(std::string_view raw) {
  std::string value;
  bool quoted = false;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (c == '\\' && i + 1 < raw.size()) {
      const char next = raw[++i];
      value += next == 'n' ? '\n' : next == 't' ? '\t' : next;
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

}  // namespace

std::string config_value(std::string_view text, std::string_view section, std::string_view key) {
  std::string found;
  bool inside = false;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.starts_with('[')) {
      // The quoted part is told by case, the word before it is not; git writes it in lower case.
      inside = line.substr(1, line.rfind(']') - 1) == section;
      continue;
    }
    const auto equals = line.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    if (same_word(trimmed(line.substr(0, equals)), key))
      found = plain_value(trimmed(line.substr(equals + 1)));
  }
  return found;
}

Result<LocalRepository> find_repository(const fs::path& start) {
  std::error_code error;
  const fs::path folder = fs::canonical(start, error);
  if (error)
    return Error{ErrorCode::not_found,
                 "the folder " + start.string() + " cannot be opened: " + error.message()};
  if (!fs::is_directory(folder, error))
    return Error{ErrorCode::invalid_input, start.string() + " is not a folder"};
  for (fs::path at = folder;; at = at.parent_path()) {
    if (is_there(at / ".git")) {
      FR_TRY(const fs::path git_dir, git_dir_of(at / ".git"));
      return read_repository(at, git_dir, false);
    }
    if (is_bare_repository(at)) return read_repository(at, at, true);
    if (at == at.root_path()) break;
  }
  return Error{ErrorCode::not_found,
               folder.string() +
                   " is not in a git repository: go into one, or name it with --repo "
                   "DIR or --repo https://…"};
}

}  // namespace flow_runner::cli
