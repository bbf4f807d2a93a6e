#include "executor/git_path_rules.hpp"

#include <algorithm>
#include <cctype>

#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_rules_file_bytes = 1 << 20;
constexpr std::size_t max_pattern_bytes = 4096;

bool in_class(std::string_view name, unsigned char c) {
  if (name == "alnum") return std::isalnum(c) != 0;
  if (name == "alpha") return std::isalpha(c) != 0;
  if (name == "blank") return c == ' ' || c == '\t';
  if (name == "cntrl") return std::iscntrl(c) != 0;
  if (name == "digit") return std::isdigit(c) != 0;
  if (name == "graph") return std::isgraph(c) != 0;
  if (name == "lower") return std::islower(c) != 0;
  if (name == "print") return std::isprint(c) != 0;
  if (name == "punct") return std::ispunct(c) != 0;
  if (name == "space") return std::isspace(c) != 0;
  if (name == "upper") return std::isupper(c) != 0;
  if (name == "xdigit") return std::isxdigit(c) != 0;
  return false;
}

/// Matches `c` against the bracket expression that begins at pattern[at] == '['; moves `at` behind
/// it. std::nullopt: the expression has no end, so that the whole pattern matches nothing.
std::optional<bool> match_bracket(std::string_view pattern, std::size_t& at, unsigned char c) {
  std::size_t p = at + 1;
  bool negated = false;
  if (p < pattern.size() && (pattern[p] == '!' || pattern[p] == '^')) {
    negated = true;
    ++p;
  }
  bool matched = false;
  for (bool first = true; p < pattern.size(); first = false) {
    if (pattern[p] == ']' && !first) {
      at = p + 1;
      return matched != negated && c != '/';
    }
    if (pattern.substr(p).starts_with("[:")) {
      const auto end = pattern.find(":]", p + 2);
      if (end != std::string_view::npos) {
        matched = matched || in_class(pattern.substr(p + 2, end - p - 2), c);
        p = end + 2;
        continue;
      }
    }
    const auto take = [&]() -> std::optional<unsigned char> {
      if (pattern[p] == '\\') ++p;
      if (p >= pattern.size()) return std::nullopt;
      return static_cast<unsigned char>(pattern[p++]);
    };
    const auto low = take();
    if (!low) return std::nullopt;
    auto high = low;
    if (p + 1 < pattern.size() && pattern[p] == '-' && pattern[p + 1] != ']') {
      ++p;
      high = take();
      if (!high) return std::nullopt;
    }
    matched = matched || (*low <= c && c <= *high);
  }
  return std::nullopt;
}

/// Matches one pattern element that is no star at text[t]; moves both behind it.
bool match_one(std::string_view pattern, std::size_t& p, std::string_view text, std::size_t& t) {
  if (t >= text.size()) return false;
  const auto c = static_cast<unsigned char>(text[t]);
  std::size_t next = p;
  if (pattern[p] == '?') {
    if (c == '/') return false;
    next = p + 1;
  } else if (pattern[p] == '[') {
    const auto matched = match_bracket(pattern, next, c);
    if (!matched.value_or(false)) return false;
  } else {
    if (pattern[p] == '\\' && p + 1 < pattern.size()) next = p + 1;
    if (static_cast<unsigned char>(pattern[next]) != c) return false;
    ++next;
  }
  p = next;
  ++t;
  return true;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

/// Trailing blanks go, unless a backslash stands before them.
std::string_view without_trailing_spaces(std::string_view line) {
  std::size_t keep = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      keep = ++i + 1;
    } else if (line[i] != ' ') {
      keep = i + 1;
    }
  }
  return line.substr(0, keep);
}

std::optional<PathPattern> parse_pattern(std::string_view text) {
  PathPattern pattern;
  if (text.ends_with('/')) {
    pattern.folders_only = true;
    text.remove_suffix(1);
  }
  pattern.by_name = text.find('/') == std::string_view::npos;
  if (text.starts_with('/')) text.remove_prefix(1);
  if (text.empty() || text.size() > max_pattern_bytes) return std::nullopt;
  pattern.pattern = text;
  return pattern;
}

std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const auto end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

}  // namespace

bool wildmatch(std::string_view pattern, std::string_view text) {
  constexpr std::size_t none = std::string_view::npos;
  std::size_t p = 0;
  std::size_t t = 0;
  // Where to go on after a mismatch: the last `*` may take one byte more of its component, the last
  // `**` one more of all. An earlier star never needs to be asked again.
  std::size_t star_p = none;
  std::size_t star_t = 0;
  std::size_t deep_p = none;
  std::size_t deep_t = 0;
  while (true) {
    if (p < pattern.size() && pattern[p] == '*') {
      std::size_t end = p;
      while (end < pattern.size() && pattern[end] == '*') ++end;
      const bool whole = (p == 0 || pattern[p - 1] == '/') &&
                         (end == pattern.size() || pattern[end] == '/') && end - p >= 2;
      star_p = none;
      if (whole && end == pattern.size()) return true;
      if (whole) {
        deep_p = p = end + 1;
        deep_t = t;
      } else {
        star_p = p = end;
        star_t = t;
      }
      continue;
    }
    if (p == pattern.size() && t == text.size()) return true;
    if (p < pattern.size() && match_one(pattern, p, text, t)) continue;
    if (star_p != none && star_t < text.size() && text[star_t] != '/') {
      p = star_p;
      t = ++star_t;
      continue;
    }
    star_p = none;
    if (deep_p == none) return false;
    // `**/` stands for whole components: go on behind the next slash.
    const auto slash = text.find('/', deep_t);
    if (slash == none) return false;
    p = deep_p;
    t = deep_t = slash + 1;
  }
}

bool PathPattern::matches(std::string_view path, FileKind kind) const {
  if (folders_only && kind != FileKind::folder) return false;
  if (!by_name) return wildmatch(pattern, path);
  const auto slash = path.rfind('/');
  return wildmatch(pattern, slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::vector<PathPattern> parse_ignore_file(std::string_view text) {
  std::vector<PathPattern> patterns;
  for (std::string_view line : lines_of(text)) {
    if (line.starts_with('#')) continue;
    line = without_trailing_spaces(line);
    const bool negated = line.starts_with('!');
    if (negated) line.remove_prefix(1);
    if (auto pattern = parse_pattern(line)) {
      pattern->negated = negated;
      patterns.push_back(std::move(*pattern));
    }
  }
  return patterns;
}

Result<const IgnoreRules::Folder*> IgnoreRules::folder(const std::string& path) {
  const auto known = folders_.find(path);
  if (known != folders_.end()) return &known->second;
  // From the top down, for an ignored folder's own rules do not count.
  std::size_t end = 0;
  while (true) {
    const std::string prefix = path.substr(0, end);
    if (!folders_.contains(prefix)) {
      Folder made;
      if (!prefix.empty()) {
        FR_TRY(made.ignored, decide(prefix, FileKind::folder));
      }
      if (!made.ignored) {
        const std::string file = prefix.empty() ? ".gitignore" : prefix + "/.gitignore";
        FR_TRY(const FileFacts facts, workspace_.facts(file));
        if (facts.kind == FileKind::regular && facts.size <= max_rules_file_bytes) {
          FR_TRY(const std::optional<std::string> text,
                 workspace_.read_regular(file, max_rules_file_bytes));
          made.patterns = parse_ignore_file(text.value_or(""));
        }
      }
      folders_.emplace(prefix, std::move(made));
    }
    if (end >= path.size()) break;
    end = std::min(path.find('/', end + 1), path.size());
  }
  return &folders_.find(path)->second;
}

Result<bool> IgnoreRules::decide(const std::string& path, FileKind kind) {
  std::string_view at = parent_of(path);
  while (true) {
    const auto known = folders_.find(at);
    if (known == folders_.end()) return false;
    if (known->second.ignored) return true;
    const std::string_view relative = std::string_view(path).substr(at.empty() ? 0 : at.size() + 1);
    const auto& patterns = known->second.patterns;
    for (auto pattern = patterns.rbegin(); pattern != patterns.rend(); ++pattern) {
      if (pattern->matches(relative, kind)) return !pattern->negated;
    }
    if (at.empty()) return false;
    at = parent_of(at);
  }
}

Result<bool> IgnoreRules::ignored(const std::string& path, FileKind kind) {
  FR_TRY(const Folder* parent, folder(std::string(parent_of(path))));
  if (parent->ignored) return true;
  return decide(path, kind);
}

void LfsRules::add(const std::string& folder, std::string_view text) {
  if (text.size() > max_rules_file_bytes) return;
  for (std::string_view line : lines_of(text)) {
    std::string name;
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    line.remove_prefix(begin);
    if (line.front() == '"') {
      const auto end = line.find("\" ");
      if (end == std::string_view::npos) continue;
      const auto unquoted = unquote_path(line.substr(0, end + 1));
      if (!unquoted) continue;
      name = *unquoted;
      line.remove_prefix(end + 1);
    } else {
      const auto end = std::min(line.find_first_of(" \t"), line.size());
      name = line.substr(0, end);
      line.remove_prefix(end);
    }
    std::optional<bool> lfs;
    std::vector<std::string_view> words = words_of(line);
    const bool macro = name == "[attr]" || name.starts_with("[attr]");
    if (macro && name.size() > 6) words.insert(words.begin(), std::string_view(name).substr(6));
    for (const auto word : words) {
      if (word == "filter=lfs")
        lfs = true;
      else if (word.starts_with("filter=") || word == "-filter" || word == "!filter")
        lfs = false;
      else if (std::find(macros_.begin(), macros_.end(), word) != macros_.end())
        lfs = true;
    }
    if (macro) {
      if (folder.empty() && lfs == true && !words.empty()) macros_.emplace_back(words.front());
      continue;
    }
    auto pattern = parse_pattern(name);
    // git knows no folder patterns and no negation in attributes.
    if (!lfs || !pattern || pattern->folders_only || name.starts_with('!')) continue;
    rules_.push_back({.folder = folder, .pattern = std::move(*pattern), .lfs = *lfs});
  }
}

bool LfsRules::covers(std::string_view path) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    std::string_view relative = path;
    if (!rule->folder.empty()) {
      if (!path.starts_with(rule->folder + "/")) continue;
      relative.remove_prefix(rule->folder.size() + 1);
    }
    if (rule->pattern.matches(relative, FileKind::regular)) return rule->lfs;
  }
  return false;
}

}  // namespace flow_runner
