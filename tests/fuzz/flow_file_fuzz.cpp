// Fuzzes parse_flow: any bytes give a flow or an error, in bounded output that is safe to print.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/diagnostic.hpp"
#include "config/flow_file.hpp"
#include "config/quoted_path.hpp"
#include "config/text_check.hpp"
#include "config/variables.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = flow_runner::utf8_length(text);
    if (length == 0) return false;
    const std::string_view symbol = text.substr(0, length);
    if (symbol == "\n" || symbol == "\r" || symbol == "\t") return false;
    if (flow_runner::classify_character(symbol) != flow_runner::CharacterClass::ordinary)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const flow_runner::FlowFile file = flow_runner::parse_flow(bytes, "flow.yml");
  require(file.flow.has_value() != flow_runner::has_error(file.diagnostics));
  require(file.diagnostics.size() <= 102);
  for (const flow_runner::Diagnostic& diagnostic : file.diagnostics) {
    require(diagnostic.line >= 0 && diagnostic.column >= 0);
    require(diagnostic.message.size() < 600);
    require(is_printable(diagnostic.message));
  }
  if (!file.flow) return 0;
  require(!file.flow->commands.empty());
  require(!file.flow->image.name.empty() && file.flow->image.name.front() != '-');
  std::size_t total = 0;
  for (const std::string& command : file.flow->commands) {
    require(command.find('\0') == std::string::npos && flow_runner::is_utf8(command));
    total += command.size();
  }
  require(total <= 1024 * 1024);
  for (const std::string& name : file.flow->variables) require(flow_runner::is_variable_name(name));
  return 0;
}
