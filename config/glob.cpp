#include "config/glob.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

enum class Kind : std::uint8_t {
  symbol,     // exactly this character
  any,        // one character but /
  run,        // any run without /
  parts,      // `**/`: any number of whole parts, each with its /
  below,      // `/**` at the end: nothing, or / and anything
  everything  // any run
};

struct Token {
  Kind kind;
  std::string_view symbol = {};
};

/// The first character of the text; bytes that are not UTF-8 stand for themselves.
std::string_view first_symbol(std::string_view text) {
  const std::size_t length = utf8_length(text);
  return text.substr(0, length == 0 ? 1 : length);
}

std::vector<Token> compile(std::string_view pattern) {
  if (pattern.starts_with('/')) pattern.remove_prefix(1);
  std::vector<Token> tokens;
  bool part_begins = true;
  while (!pattern.empty()) {
    if (pattern == "/" || pattern == "/**") {
      tokens.push_back({Kind::below});
      break;
    }
    if (part_begins && pattern == "**") {
      tokens.push_back({Kind::everything});
      break;
    }
    if (part_begins && pattern.starts_with("**/")) {
      tokens.push_back({Kind::parts});
      pattern.remove_prefix(3);
      // `**/` at the end names folders only: everything below any folder, and we match their
      // content.
      if (pattern.empty()) tokens.push_back({Kind::everything});
      continue;
    }
    part_begins = pattern.front() == '/';
    if (pattern.front() == '*') {
      while (pattern.starts_with('*')) pattern.remove_prefix(1);
      tokens.push_back({Kind::run});
      continue;
    }
    if (pattern.front() == '?') {
      tokens.push_back({Kind::any});
      pattern.remove_prefix(1);
      continue;
    }
    if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
    const std::string_view symbol = first_symbol(pattern);
    tokens.push_back({Kind::symbol, symbol});
    pattern.remove_prefix(symbol.size());
  }
  return tokens;
}

/// The set of token positions that can be reached, grown by those that match nothing.
void close(std::vector<char>& reached, const std::vector<Token>& tokens, bool part_begins) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!reached[i]) continue;
    const Kind kind = tokens[i].kind;
    if (kind == Kind::run || kind == Kind::everything || (kind == Kind::parts && part_begins)) {
      reached[i + 1] = 1;
    }
  }
}

}  // namespace

bool path_glob_match(std::string_view pattern, std::string_view path) {
  const std::vector<Token> tokens = compile(pattern);
  if (tokens.empty()) return path.empty();
  std::vector<char> reached(tokens.size() + 1, 0);
  std::vector<char> next(tokens.size() + 1, 0);
  // Inside the `/**` at the end; once entered it takes all the rest.
  bool below = false;
  reached[0] = 1;
  close(reached, tokens, true);
  while (!path.empty()) {
    const std::string_view symbol = first_symbol(path);
    path.remove_prefix(symbol.size());
    const bool slash = symbol == "/";
    next.assign(next.size(), 0);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!reached[i]) continue;
      switch (tokens[i].kind) {
        case Kind::symbol:
          if (symbol == tokens[i].symbol) next[i + 1] = 1;
          break;
        case Kind::any:
          if (!slash) next[i + 1] = 1;
          break;
        case Kind::run:
          if (!slash) next[i] = 1;
          break;
        case Kind::below:
          if (slash) below = true;
          break;
        case Kind::parts:
        case Kind::everything:
          next[i] = 1;
          break;
      }
    }
    reached.swap(next);
    close(reached, tokens, slash);
    if (below) return true;
  }
  const bool folder_itself = tokens.back().kind == Kind::below && reached[tokens.size() - 1];
  return reached[tokens.size()] || folder_itself;
}

bool ref_pattern_match(std::string_view pattern, std::string_view ref) {
  const auto full = [](std::string_view name) {
    return name.starts_with("refs/") ? std::string(name) : "refs/heads/" + std::string(name);
  };
  const std::string wanted = full(pattern);
  const std::string name = full(ref);
  // With one kind of star only, going back to the last one is enough.
  std::size_t w = 0;
  std::size_t star = std::string::npos;
  std::size_t resume = 0;
  for (std::size_t n = 0; n < name.size();) {
    if (w < wanted.size() && wanted[w] == '*') {
      star = w++;
      resume = n;
    } else if (w < wanted.size() && wanted[w] == name[n]) {
      ++w;
      ++n;
    } else if (star != std::string::npos) {
      w = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (w < wanted.size() && wanted[w] == '*') ++w;
  return w == wanted.size();
}

}  // namespace flow_runner
