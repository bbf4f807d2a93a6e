#include "daemon/cli/usage.hpp"

#include <algorithm>

#include "daemon/cli/terminal_text.hpp"

namespace flow_runner::cli {

namespace {

constexpr std::size_t max_word = 40;

// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > max_word) return {};
  std::string best;
  std::size_t best_distance = 1 + word.size() / 3;
  for (const std::string& candidate : known) {
    const std::size_t d = distance(word, candidate);
    if (d < best_distance || (d == best_distance && best.empty())) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string unexpected_words(const std::vector<std::string>& words,
                             const std::vector<std::string>& known_options) {
  for (const std::string& word : words) {
    if (!word.starts_with('-')) continue;
    const std::string name = word.substr(0, std::min(word.find('='), max_word));
    const std::string meant = nearest(name, known_options);
    return "there is no option " + terminal_text(name, TerminalColours::removed) +
           (meant.empty() ? "" : "; did you mean " + meant + "?");
  }
  return std::to_string(words.size()) + " word" + (words.size() == 1 ? " is" : "s are") +
         " more than this command takes";
}

}  // namespace flow_runner::cli
