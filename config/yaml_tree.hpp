// YAML tree: untrusted YAML as a small tree with places, within fixed bounds; yaml-cpp stays behind
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/diagnostic.hpp"

namespace flow_runner {

struct YamlNode;
using YamlNodePtr = std::shared_ptr<const YamlNode>;

/// One node. Aliases are the node that they name, shared.
struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, sequence, mapping };

  Kind kind = Kind::null;
  int line = 0;        ///< from 1
  int column = 0;      ///< from 1, in characters
  std::string text;    ///< a scalar's; UTF-8
  bool plain = false;  ///< a scalar without quotes: true, 12 and ~ are then no strings to GitLab
  std::vector<YamlNodePtr> items;  ///< a sequence's
  std::vector<std::pair<YamlNodePtr, YamlNodePtr>>
      entries;  ///< a mapping's; keys are scalars, no two equal

  std::size_t weight = 1;  ///< nodes from here down, as max_nodes counts them
  int height = 1;          ///< levels from here down
};

/// A long text counts as one node more for each of these.
inline constexpr std::size_t yaml_bytes_per_node = 64;

/// Bounds of what is read. Depth and nodes count an alias as the whole that it stands for.
struct YamlLimits {
  std::size_t max_bytes = 64 * 1024;
  int max_depth = 32;
  std::size_t max_nodes = 10'000;
};

/// Reads the one document of a file into a tree; null when it could not be read, which is then an
/// error in `diagnostics`. With lesser errors (a double key) there is a tree and an error: keep
/// looking for more. Errors: size, bytes that are not UTF-8, control and bidirectional-override
/// characters (escaped ones too), syntax, depth, node count, double keys, keys that are not
/// scalars, merge keys, tags, an alias in its own anchor, a second document. Warnings: other
/// invisible characters, aliases.
YamlNodePtr read_yaml(std::string_view bytes, const YamlLimits& limits,
                      DiagnosticList& diagnostics);

}  // namespace flow_runner
