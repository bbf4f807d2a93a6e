#include <cctype>
#include <sstream>

#include "config/reference_flows.hpp"

namespace flow_runner {

namespace {

constexpr std::string_view network_line = "Network: ";

/// The name that a line `  NAME  what it is` begins with; empty: it is another line.
std::string variable_of(std::string_view line) {
  if (!line.starts_with("  ") || line.starts_with("   ")) return {};
  line.remove_prefix(2);
  std::size_t size = 0;
  while (size < line.size() &&
         (std::isupper(static_cast<unsigned char>(line[size])) != 0 ||
          std::isdigit(static_cast<unsigned char>(line[size])) != 0 || line[size] == '_'))
    ++size;
  return std::string(line.substr(0, size));
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> found;
  for (std::string word; stream >> word;) found.push_back(word);
  return found;
}

}  // namespace

FlowNotes flow_notes(std::string_view text) {
  FlowNotes notes;
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || !line.starts_with('#')) return notes;
  if (line.starts_with("# ")) notes.title = line.substr(2, line.find(',') - 2);
  int paragraph = 1;
  bool optional = false;
  while (std::getline(lines, line) && line.starts_with('#')) {
    line.erase(0, line.starts_with("# ") ? 2 : 1);
    if (line.empty()) {
      ++paragraph;
    } else if (line.starts_with(network_line)) {
      notes.network = words(line.substr(network_line.size()));
    } else if (paragraph == 2) {
      notes.variables += line + "\n";
      optional = optional || line == "Optional:";
      if (auto name = variable_of(line); !name.empty())
        (optional ? notes.optional : notes.required).push_back(std::move(name));
    }
  }
  return notes;
}

}  // namespace flow_runner
