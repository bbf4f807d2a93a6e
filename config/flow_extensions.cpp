#include "config/flow_extensions.hpp"

#include <array>
#include <charconv>
#include <functional>
#include <span>

#include "config/network_presets.hpp"
#include "config/result.hpp"
#include "config/units.hpp"
#include "config/yaml_value.hpp"

namespace flow_runner {
namespace {

// Below these a limit can only be a mistake in its unit.
constexpr std::uint64_t min_memory_bytes = 4ULL << 20;
constexpr std::uint64_t min_disk_bytes = 1ULL << 20;
constexpr std::uint64_t max_pids = 4'194'304;
constexpr double max_cpus = 4'096;
constexpr std::size_t max_message_bytes = 500;
constexpr std::size_t max_network_entries = 256;

struct Key {
  std::string_view name;
  std::function<void(const YamlNode&)> read;
};

class ExtensionReader {
 public:
  ExtensionReader(FlowExtensions& extensions, DiagnosticList& diagnostics)
      : extensions_(extensions), diagnostics_(diagnostics) {}

  void read(const YamlNode& value) {
    const std::array<Key, 6> keys = {{
        {"network", [this](const YamlNode& node) { read_network(node); }},
        {"timeout",
         [this](const YamlNode& node) { read_duration(node, "`timeout`", extensions_.timeout); }},
        {"idle_timeout",
         [this](const YamlNode& node) {
           read_duration(node, "`idle_timeout`", extensions_.idle_timeout);
         }},
        {"resources", [this](const YamlNode& node) { read_resources(node); }},
        {"setup",
         [this](const YamlNode& node) {
           read_command_list(node, "`setup`", extensions_.setup, diagnostics_);
         }},
        {"publish", [this](const YamlNode& node) { read_publish(node); }},
    }};
    read_mapping(value, "`x-flow-runner`", keys);
  }

 private:
  void error(const YamlNode& node, std::string message) {
    diagnostics_.error(node.line, node.column, std::move(message));
  }

  void read_mapping(const YamlNode& value, std::string_view what, std::span<const Key> keys) {
    if (plain_type(value) == PlainType::null) return;
    if (value.kind != YamlNode::Kind::mapping) {
      error(value,
            std::string(what) + " must be a mapping, but this is " + std::string(describe(value)));
      return;
    }
    for (const auto& [name, content] : value.entries) {
      const Key* known = nullptr;
      for (const Key& key : keys) {
        if (key.name == name->text) known = &key;
      }
      if (known == nullptr) {
        report_unknown(*name, what, keys);
      } else if (plain_type(*content) == PlainType::null) {
        error(*name, "`" + name->text + "` is empty: give it a value or leave it out");
      } else {
        known->read(*content);
      }
    }
  }

  void report_unknown(const YamlNode& name, std::string_view what, std::span<const Key> keys) {
    std::vector<std::string_view> names;
    std::string list;
    for (const Key& key : keys) {
      names.push_back(key.name);
      list += (list.empty() ? "" : ", ") + std::string(key.name);
    }
    std::string message = "unknown key " + shown(name.text) + " in " + std::string(what);
    if (const auto near = closest(name.text, names); !near.empty()) {
      message += "; did you mean `" + std::string(near) + "`?";
    } else {
      message += "; known are " + list;
    }
    error(name, std::move(message));
  }

  void read_network(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::sequence) {
      extensions_.network = NetworkMode::proxy;
      read_entries(node, "`network`", Presets::allowed, extensions_.network_allow.emplace());
    } else if (node.kind == YamlNode::Kind::mapping) {
      read_network_mapping(node);
    } else {
      read_network_mode(node, "`network`");
    }
  }

  void read_network_mode(const YamlNode& node, std::string_view what) {
    const auto text = scalar_value(node, what, diagnostics_);
    if (!text) return;
    if (const auto mode = network_mode_from(*text)) {
      extensions_.network = *mode;
      return;
    }
    error(node, std::string(what) + " is none, proxy, host or a list of entries such as " +
                    "`[example.com:443]`, not " + shown(*text));
  }

  void read_network_mapping(const YamlNode& value) {
    const std::array<Key, 3> keys = {{
        {"mode", [this](const YamlNode& node) { read_network_mode(node, "`mode`"); }},
        {"allow",
         [this](const YamlNode& node) {
           read_entries(node, "`allow`", Presets::allowed, extensions_.network_allow.emplace());
         }},
        {"deny",
         [this](const YamlNode& node) {
           read_entries(node, "`deny`", Presets::refused, extensions_.network_deny);
         }},
    }};
    read_mapping(value, "`network`", keys);
    const bool lists = extensions_.network_allow || !extensions_.network_deny.empty();
    if (!extensions_.network && lists) extensions_.network = NetworkMode::proxy;
    if (lists && extensions_.network != NetworkMode::proxy)
      error(value,
            "`allow` and `deny` of `network` are the proxy's: write `mode: proxy`, or leave "
            "the lists out");
  }

  enum class Presets { allowed, refused };

  void read_entries(const YamlNode& node, std::string_view what, Presets presets,
                    std::vector<std::string>& entries) {
    if (node.kind != YamlNode::Kind::sequence) {
      error(node, std::string(what) + " must be a list of entries such as example.com:443, but " +
                      "this is " + std::string(describe(node)));
      return;
    }
    const std::string entry = "an entry of " + std::string(what);
    for (const auto& item : node.items) {
      const auto text = scalar_value(*item, entry, diagnostics_);
      if (!text) continue;
      const bool preset = presets == Presets::allowed && is_network_preset(*text);
      const auto rule = preset ? Result<NetworkRule>(NetworkRule())
                               : parse_network_rule(*text, flow_network_origin);
      if (!rule) {
        error(*item, entry + ": " + shown(*text) + ": " + rule.error().message);
      } else if (entries.size() == max_network_entries) {
        error(*item, std::string(what) + " has more than 256 entries");
        return;
      } else {
        entries.push_back(*text);
      }
    }
  }

  void read_duration(const YamlNode& node, std::string_view what,
                     std::optional<std::chrono::milliseconds>& target) {
    const auto text = scalar_value(node, what, diagnostics_);
    if (!text) return;
    const auto duration = parse_duration(*text);
    if (!duration) {
      error(node, std::string(what) + ": " + shown(*text) + " is " + duration.error().message);
    } else if (*duration < std::chrono::seconds(1)) {
      error(node, std::string(what) + " must be at least 1s");
    } else {
      target = *duration;
    }
  }

  void read_size(const YamlNode& node, std::string_view what, std::uint64_t least,
                 std::optional<std::uint64_t>& target) {
    const auto text = scalar_value(node, what, diagnostics_);
    if (!text) return;
    const auto bytes = parse_bytes(*text);
    if (!bytes) {
      error(node, std::string(what) + ": " + shown(*text) + " is " + bytes.error().message);
    } else if (*bytes < least) {
      error(node, std::string(what) + " must be at least " + format_bytes(least) +
                      "; sizes without a unit are bytes");
    } else {
      target = *bytes;
    }
  }

  void read_cpus(const YamlNode& node) {
    const auto text = scalar_value(node, "`cpus`", diagnostics_);
    if (!text) return;
    double cpus = 0;
    const auto [end, status] =
        std::from_chars(text->data(), text->data() + text->size(), cpus, std::chars_format::fixed);
    const bool number = status == std::errc() && end == text->data() + text->size();
    // Written so that not-a-number fails too.
    if (!number || !(cpus >= 0.01 && cpus <= max_cpus)) {
      error(node,
            "`cpus` is a number of cores from 0.01 to 4096, such as 1.5, not " + shown(*text));
      return;
    }
    extensions_.resources.cpus = cpus;
  }

  void read_pids(const YamlNode& node) {
    const auto text = scalar_value(node, "`pids`", diagnostics_);
    if (!text) return;
    std::uint64_t pids = 0;
    const auto [end, status] = std::from_chars(text->data(), text->data() + text->size(), pids);
    const bool number = status == std::errc() && end == text->data() + text->size();
    if (!number || pids < 1 || pids > max_pids) {
      error(node, "`pids` is a whole number from 1 to 4194304, not " + shown(*text));
      return;
    }
    extensions_.resources.pids = pids;
  }

  void read_resources(const YamlNode& value) {
    ResourceLimits& limits = extensions_.resources;
    const std::array<Key, 4> keys = {{
        {"memory",
         [&](const YamlNode& node) {
           read_size(node, "`memory`", min_memory_bytes, limits.memory_bytes);
         }},
        {"cpus", [this](const YamlNode& node) { read_cpus(node); }},
        {"pids", [this](const YamlNode& node) { read_pids(node); }},
        {"disk",
         [&](const YamlNode& node) {
           read_size(node, "`disk`", min_disk_bytes, limits.disk_bytes);
         }},
    }};
    read_mapping(value, "`resources`", keys);
  }

  void read_publish(const YamlNode& value) {
    const std::array<Key, 2> keys = {{
        {"on_failure", [this](const YamlNode& node) { read_on_failure(node); }},
        {"message", [this](const YamlNode& node) { read_message(node); }},
    }};
    read_mapping(value, "`publish`", keys);
  }

  void read_on_failure(const YamlNode& node) {
    const auto text = scalar_value(node, "`on_failure`", diagnostics_);
    if (!text) return;
    if (*text == "keep" || *text == "push") {
      extensions_.publish_on_failure = *text;
    } else {
      error(node, "`on_failure` is keep or push, not " + shown(*text));
    }
  }

  void read_message(const YamlNode& node) {
    const auto text = text_value(node, "`message`", diagnostics_);
    if (!text) return;
    if (text->find_first_not_of(" \t\r\n") == std::string::npos) {
      error(node, "`message` is empty");
    } else if (text->find_first_of("\r\n") != std::string::npos) {
      error(node, "`message` is the first line of the commit: write one line");
    } else if (text->size() > max_message_bytes) {
      error(node, "`message` is longer than 500 bytes");
    } else {
      extensions_.publish_message = *text;
    }
  }

  FlowExtensions& extensions_;
  DiagnosticList& diagnostics_;
};

}  // namespace

void read_extensions(const YamlNode& value, FlowExtensions& extensions,
                     DiagnosticList& diagnostics) {
  ExtensionReader(extensions, diagnostics).read(value);
}

// Recursion is bounded by the depth of the tree, and the count of visits by its weight
// (YamlLimits).
void read_command_list(const YamlNode& node, std::string_view what,
                       std::vector<std::string>& commands, DiagnosticList& diagnostics) {
  if (plain_type(node) == PlainType::null) return;
  if (node.kind != YamlNode::Kind::sequence) {
    diagnostics.error(node.line, node.column,
                      std::string(what) + " must be a list of commands, but this is " +
                          std::string(describe(node)) + ": write `- ` before each command");
    return;
  }
  const std::string command = "a command of " + std::string(what);
  for (const auto& item : node.items) {
    if (item->kind == YamlNode::Kind::sequence) {
      read_command_list(*item, what, commands, diagnostics);
    } else if (auto text = text_value(*item, command, diagnostics)) {
      commands.push_back(std::move(*text));
    }
  }
}

}  // namespace flow_runner
