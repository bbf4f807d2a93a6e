#include "config/variable_expansion.hpp"

#include <deque>
#include <unordered_map>

namespace flow_runner {
namespace {

constexpr std::size_t none = static_cast<std::size_t>(-1);

bool is_name_start(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

bool is_name_part(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

std::string_view leading_name(std::string_view text) {
  if (text.empty() || !is_name_start(text.front())) return {};
  std::size_t length = 1;
  while (length < text.size() && is_name_part(text[length])) ++length;
  return text.substr(0, length);
}

/// A run of the value: plain text, or a reference with its spelling.
struct Piece {
  std::string_view spelling;
  std::string_view name;  // empty: text
  bool dollar = false;    // `$$`
};

/// Calls `use` with each piece of the value, in order.
template <class Use>
void for_each_piece(std::string_view value, Use use) {
  while (!value.empty()) {
    const std::size_t dollar = value.find('$');
    if (dollar != 0) use(Piece{value.substr(0, dollar), {}});
    if (dollar == std::string_view::npos) return;
    value.remove_prefix(dollar);
    Piece piece{value.substr(0, 1), {}};
    if (value.starts_with("$$")) {
      piece = {value.substr(0, 2), {}, true};
    } else if (value.starts_with("${")) {
      const std::string_view name = leading_name(value.substr(2));
      if (!name.empty() && value.substr(2 + name.size()).starts_with('}')) {
        piece = {value.substr(0, name.size() + 3), name};
      }
    } else if (const std::string_view name = leading_name(value.substr(1)); !name.empty()) {
      piece = {value.substr(0, name.size() + 1), name};
    }
    use(piece);
    value.remove_prefix(piece.spelling.size());
  }
}

class Expansion {
 public:
  explicit Expansion(std::vector<ExpansionEntry>& entries) : entries_(entries) {
    for (std::size_t i = 0; i < entries.size(); ++i) index_.emplace(entries[i].name, i);
  }

  ExpansionProblems run() {
    // Kahn's order: no recursion, and what remains is exactly what depends on a cycle.
    std::vector<std::size_t> waiting(entries_.size(), 0);
    std::vector<std::vector<std::size_t>> dependents(entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      for (const std::size_t target : references(entries_[i])) {
        dependents[target].push_back(i);
        ++waiting[i];
      }
    }
    std::deque<std::size_t> ready;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (waiting[i] == 0) ready.push_back(i);
    }
    std::vector<char> done(entries_.size(), 0);
    while (!ready.empty()) {
      const std::size_t i = ready.front();
      ready.pop_front();
      done[i] = 1;
      expand(entries_[i]);
      for (const std::size_t dependent : dependents[i]) {
        if (--waiting[dependent] == 0) ready.push_back(dependent);
      }
    }
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!done[i]) problems_.cyclic.push_back(entries_[i].name);
    }
    return std::move(problems_);
  }

 private:
  [[nodiscard]] std::size_t target_of(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() || entries_[found->second].opaque ? none : found->second;
  }

  /// The entries that a value refers to, each once.
  std::vector<std::size_t> references(const ExpansionEntry& entry) const {
    std::vector<std::size_t> targets;
    if (entry.raw) return targets;
    std::unordered_map<std::size_t, char> seen;
    for_each_piece(entry.value.reveal(), [&](const Piece& piece) {
      if (piece.name.empty()) return;
      const std::size_t target = target_of(piece.name);
      if (target != none && seen.emplace(target, 1).second) targets.push_back(target);
    });
    return targets;
  }

  void expand(ExpansionEntry& entry) {
    if (entry.raw) return;
    // Measured first: a reallocation would leave copies of secrets in freed memory.
    std::size_t size = 0;
    bool secret = entry.secret;
    bool changes = false;
    for_each_piece(entry.value.reveal(), [&](const Piece& piece) {
      const std::size_t target = piece.name.empty() ? none : target_of(piece.name);
      size += target == none ? piece.spelling.size() : entries_[target].value.size();
      secret = secret || (target != none && entries_[target].secret);
      changes = changes || target != none || piece.dollar;
    });
    if (!changes) return;
    if (size > max_expanded_value_bytes || size > max_expanded_total_bytes - total_bytes_) {
      problems_.too_large.push_back(entry.name);
      return;
    }
    total_bytes_ += size;
    std::string expanded;
    expanded.reserve(size);
    for_each_piece(entry.value.reveal(), [&](const Piece& piece) {
      const std::size_t target = piece.name.empty() ? none : target_of(piece.name);
      if (target != none) {
        expanded += entries_[target].value.reveal();
      } else {
        expanded += piece.dollar ? std::string_view("$") : piece.spelling;
      }
    });
    entry.value = Secret(std::move(expanded));
    entry.secret = secret;
  }

  std::vector<ExpansionEntry>& entries_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::size_t total_bytes_ = 0;
  ExpansionProblems problems_;
};

}  // namespace

ExpansionProblems expand_variables(std::vector<ExpansionEntry>& entries) {
  return Expansion(entries).run();
}

bool refers_to(std::string_view text, std::string_view name) {
  for (std::size_t at = text.find('$'); at != std::string_view::npos; at = text.find('$', at + 1)) {
    std::string_view rest = text.substr(at + 1);
    if (rest.starts_with('{')) rest.remove_prefix(1);
    // `${#NAME}` and `${!NAME}` use the value too.
    if (text.substr(at + 1, 1) == "{" && (rest.starts_with('#') || rest.starts_with('!'))) {
      rest.remove_prefix(1);
    }
    if (!rest.starts_with(name)) continue;
    if (rest.size() == name.size() || !is_name_part(rest[name.size()])) return true;
  }
  return false;
}

}  // namespace flow_runner
