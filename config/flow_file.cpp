#include "config/flow_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_set>

#include "config/encoding.hpp"
#include "config/flow_extensions.hpp"
#include "config/result.hpp"
#include "config/variables.hpp"
#include "config/yaml_tree.hpp"
#include "config/yaml_value.hpp"

namespace flow_runner {
namespace {

constexpr std::array<std::string_view, 7> known_keys = {
    "image",     "commands",         "variables",   "injectGatewayToken",
    "id_tokens", "report_artifacts", extensions_key};
constexpr std::array<std::string_view, 3> image_keys = {"name", "entrypoint", "pull_policy"};
constexpr std::size_t max_image_name_bytes = 2048;

/// Where a key of .gitlab-ci.yml or of GitLab's own flows lives here.
std::string_view known_elsewhere(std::string_view key) {
  if (key == "script") return "here it is `commands`";
  if (key == "before_script" || key == "setup_script" || key == "setup") {
    return "here it is `setup` under `x-flow-runner`";
  }
  if (key == "timeout" || key == "network" || key == "idle_timeout" || key == "resources" ||
      key == "publish") {
    return "it belongs under `x-flow-runner`";
  }
  return {};
}

class FlowReader {
 public:
  FlowReader(Flow& flow, DiagnosticList& diagnostics) : flow_(flow), diagnostics_(diagnostics) {}

  void read(const YamlNode& root) {
    if (root.kind != YamlNode::Kind::mapping) {
      diagnostics_.error(root.line, root.column,
                         "a flow is a mapping with `image` and `commands`, but the file is " +
                             std::string(describe(root)));
      return;
    }
    for (const auto& [key, value] : root.entries) read_entry(*key, *value);
    for (const std::string_view key : {"image", "commands"}) {
      if (find_value(root, key) != nullptr) continue;
      diagnostics_.error(root.line, root.column,
                         "the key `" + std::string(key) + "` is missing: every flow needs it");
    }
  }

 private:
  void read_entry(const YamlNode& key, const YamlNode& value) {
    if (key.text == "image") {
      read_image(key, value);
    } else if (key.text == "commands") {
      read_commands(key, value);
    } else if (key.text == "variables") {
      read_variables(key, value);
    } else if (key.text == extensions_key) {
      read_extensions(value, flow_.extensions, diagnostics_);
    } else if (key.text == "injectGatewayToken") {
      check_gateway_token(key, value);
    } else if (key.text == "id_tokens") {
      warn(key,
           "`id_tokens`: only GitLab can issue these, and only to its own jobs; give the "
           "variables yourself in a local run");
      check_is_mapping(value, "`id_tokens`");
    } else if (key.text == "report_artifacts") {
      warn(key,
           "`report_artifacts`: this runner uploads no reports; the files stay in the "
           "workspace");
      check_is_mapping(value, "`report_artifacts`");
    } else {
      warn_unknown(key, known_keys, "flow", known_elsewhere(key.text));
    }
  }

  void read_image(const YamlNode& key, const YamlNode& value) {
    if (plain_type(value) == PlainType::null) {
      diagnostics_.error(key.line, key.column, "`image` is empty: name a container image");
    } else if (value.kind != YamlNode::Kind::mapping) {
      read_image_name(value, "`image`");
    } else {
      if (find_value(value, "name") == nullptr) {
        diagnostics_.error(key.line, key.column, "`image` has no `name`: name a container image");
      }
      for (const auto& [part, content] : value.entries) {
        if (part->text == "name") {
          read_image_name(*content, "`name` of the image");
        } else if (part->text == "entrypoint") {
          read_entrypoint(*content);
        } else if (part->text == "pull_policy") {
          read_pull_policy(*content);
        } else {
          warn_unknown(*part, image_keys, "`image`", {});
        }
      }
    }
  }

  void read_image_name(const YamlNode& node, std::string_view what) {
    auto name = text_value(node, what, diagnostics_);
    if (!name) return;
    std::string_view mistake;
    if (name->empty()) mistake = "is empty: name a container image";
    if (name->size() > max_image_name_bytes) mistake = "is longer than 2048 bytes";
    // The image tools would take it for an option.
    if (name->starts_with('-')) mistake = "begins with -";
    if (name->find_first_of(" \t\r\n") != std::string::npos) mistake = "contains white space";
    if (name->find('$') != std::string::npos) {
      mistake = "contains a variable, which is not expanded here: write the image out";
    }
    if (!mistake.empty()) {
      diagnostics_.error(node.line, node.column, std::string(what) + " " + std::string(mistake));
    }
    flow_.image.name = std::move(*name);
  }

  void read_entrypoint(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::sequence) {
      for (const auto& item : node.items) {
        if (auto text = text_value(*item, "a part of `entrypoint`", diagnostics_)) {
          flow_.image.entrypoint.push_back(std::move(*text));
        }
      }
    } else if (plain_type(node) != PlainType::null) {
      if (auto text = text_value(node, "`entrypoint`", diagnostics_)) {
        flow_.image.entrypoint.push_back(std::move(*text));
      }
    }
  }

  void read_pull_policy(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::sequence) {
      flow_.image.pull_policy = pull_policy(node);
      return;
    }
    if (node.items.empty()) {
      diagnostics_.error(node.line, node.column, "`pull_policy` is an empty list");
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const auto policy = pull_policy(*node.items[i]);
      if (i == 0) flow_.image.pull_policy = policy;
    }
    if (node.items.size() > 1) warn(node, "of several pull policies only the first is used");
  }

  std::optional<PullPolicy> pull_policy(const YamlNode& node) {
    const auto text = text_value(node, "`pull_policy`", diagnostics_);
    if (!text) return std::nullopt;
    if (*text == "always") return PullPolicy::always;
    if (*text == "if-not-present") return PullPolicy::if_not_present;
    if (*text == "never") return PullPolicy::never;
    diagnostics_.error(node.line, node.column,
                       "`pull_policy` is always, if-not-present or never, not " + shown(*text));
    return std::nullopt;
  }

  void read_commands(const YamlNode& key, const YamlNode& value) {
    if (value.kind == YamlNode::Kind::scalar && plain_type(value) != PlainType::null) {
      diagnostics_.error(value.line, value.column,
                         "`commands` must be a list: write each command on a line of its own "
                         "behind `- `");
      return;
    }
    const std::size_t errors_before = diagnostics_.errors();
    read_command_list(value, "`commands`", flow_.commands, diagnostics_);
    const auto blank = [](const std::string& command) {
      return command.find_first_not_of(" \t\r\n") == std::string::npos;
    };
    if (diagnostics_.errors() == errors_before &&
        std::all_of(flow_.commands.begin(), flow_.commands.end(), blank)) {
      diagnostics_.error(key.line, key.column, "`commands` is empty: list at least one command");
    }
  }

  void read_variables(const YamlNode& key, const YamlNode& value) {
    if (plain_type(value) == PlainType::null) return;
    if (value.kind == YamlNode::Kind::mapping) {
      diagnostics_.error(
          key.line, key.column,
          "`variables` is a list of names, not a mapping with values: write `- NAME` "
          "and define the value in GitLab's CI/CD settings or with --var");
      return;
    }
    if (value.kind != YamlNode::Kind::sequence) {
      diagnostics_.error(value.line, value.column,
                         "`variables` must be a list of names: write `- NAME`");
      return;
    }
    for (const auto& item : value.items) read_variable_name(*item);
  }

  void read_variable_name(const YamlNode& node) {
    auto name = text_value(node, "the name of a variable", diagnostics_);
    if (!name) return;
    if (!is_variable_name(*name)) {
      const bool dollar = name->starts_with('$');
      diagnostics_.error(
          node.line, node.column,
          shown(*name) + " is no name of a variable: " +
              (dollar ? "write it without $" : "use letters, digits and _, at most 255 of them"));
      return;
    }
    if (!seen_variables_.insert(*name).second) {
      warn(node, "the variable " + shown(*name) + " is listed twice");
      return;
    }
    flow_.variables.push_back(std::move(*name));
  }

  void check_gateway_token(const YamlNode& key, const YamlNode& value) {
    if (plain_type(value) != PlainType::boolean) {
      warn(value, "`injectGatewayToken` must be true or false: GitLab ignores all else");
      return;
    }
    warn(key,
         "`injectGatewayToken`: GitLab adds AI_FLOW_AI_GATEWAY_TOKEN and "
         "AI_FLOW_AI_GATEWAY_HEADERS to its own jobs; this runner adds nothing");
  }

  void check_is_mapping(const YamlNode& value, std::string_view what) {
    if (value.kind == YamlNode::Kind::mapping) return;
    warn(value, std::string(what) + " must be a mapping, but this is " +
                    std::string(describe(value)) + ": GitLab refuses or ignores it");
  }

  void warn(const YamlNode& at, std::string message) {
    diagnostics_.warning(at.line, at.column, std::move(message));
  }

  void warn_unknown(const YamlNode& key, std::span<const std::string_view> known,
                    std::string_view where, std::string_view elsewhere) {
    std::string message =
        "unknown key " + shown(key.text) + " in " + std::string(where) + ", ignored";
    if (!elsewhere.empty()) {
      message += "; " + std::string(elsewhere);
    } else if (const auto near = closest(key.text, known); !near.empty()) {
      message += "; did you mean `" + std::string(near) + "`?";
    }
    warn(key, std::move(message));
  }

  Flow& flow_;
  DiagnosticList& diagnostics_;
  std::unordered_set<std::string> seen_variables_;
};

FlowFile unreadable(std::string message) {
  return {std::nullopt, {{0, 0, Severity::error, std::move(message)}}};
}

/// Reads at most one byte more than the limit, which parse_flow then reports.
Result<std::string> read_small_file(int fd) {
  std::string bytes(max_flow_file_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t count = ::read(fd, bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error("cannot read the flow file");
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace

FlowFile parse_flow(std::string_view bytes, std::string path) {
  DiagnosticList diagnostics;
  Flow flow;
  YamlLimits limits;
  limits.max_bytes = max_flow_file_bytes;
  if (const YamlNodePtr root = read_yaml(bytes, limits, diagnostics)) {
    FlowReader(flow, diagnostics).read(*root);
  }
  FlowFile file;
  if (!diagnostics.has_error()) {
    flow.path = std::move(path);
    flow.sha256 = sha256_hex(bytes);
    file.flow = std::move(flow);
  }
  file.diagnostics = diagnostics.take();
  return file;
}

Result<std::string> read_flow_bytes(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return errno_error("cannot open the flow file");
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return Error{ErrorCode::invalid_input, "not a regular file"};
  }
  Result<std::string> bytes = read_small_file(fd);
  ::close(fd);
  return bytes;
}

FlowFile load_flow(const std::filesystem::path& path) {
  const Result<std::string> bytes = read_flow_bytes(path);
  if (!bytes) return unreadable(bytes.error().message);
  return parse_flow(*bytes, path.string());
}

}  // namespace flow_runner
