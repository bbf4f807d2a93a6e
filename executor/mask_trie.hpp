// MaskTrie: an Aho-Corasick automaton over patterns of which only the states of head length and
// more exist.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "executor/mask_heads.hpp"

namespace flow_runner {

/// The state after a text is the longest end of the text that is the beginning of a pattern, and at
/// least head_bytes long; when there is none, MaskHeads finds the next head. As a whole that is
/// exactly the classic automaton, but costs 2 bytes per pattern byte: failure links are kept as
/// runs, and there are few unless the patterns repeat themselves.
class MaskTrie {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  struct Entry {
    std::string_view bytes;
    std::uint32_t pattern = 0;  ///< the caller's number for it
  };
  struct State {
    std::uint32_t node = none;
    std::uint32_t depth = 0;
  };
  /// A pattern that ends in a state; `next` is the next shorter one, or none.
  struct Output {
    std::uint32_t bytes = 0;
    std::uint32_t pattern = 0;
    std::uint32_t next = none;
  };

  /// `sorted` and distinct; their heads are `heads`. Throws std::length_error at 4 GiB of patterns.
  MaskTrie(const std::vector<Entry>& sorted, const MaskHeads& heads);
  MaskTrie(MaskTrie&&) noexcept = default;
  MaskTrie& operator=(MaskTrie&&) = delete;
  ~MaskTrie();

  [[nodiscard]] State start(std::uint32_t head) const { return {roots_[head], head_bytes_}; }
  /// Follows `c`; false, and nothing changed, when no pattern goes on with it.
  bool step(State& state, unsigned char c) const;
  /// Falls back to the next shorter state; false, and nothing changed, when there is none.
  bool fall_back(State& state) const;
  /// No pattern goes on from here.
  [[nodiscard]] bool is_leaf(State state) const {
    return (cells_[state.node] & (goes_on | branches)) == 0;
  }
  [[nodiscard]] bool has_output(State state) const { return (cells_[state.node] & outputs) != 0; }
  /// The longest pattern that ends here; needs has_output.
  [[nodiscard]] std::uint32_t output(State state) const { return node_outputs_.at(state.node); }
  [[nodiscard]] const Output& output_at(std::uint32_t index) const { return outputs_[index]; }

 private:
  // A cell: the byte that leads to the node, and these marks.
  static constexpr std::uint16_t goes_on = 0x100;     // the next node is its child
  static constexpr std::uint16_t branches = 0x200;    // it has further children
  static constexpr std::uint16_t outputs = 0x400;     // a pattern ends here
  static constexpr std::uint16_t falls_back = 0x800;  // a shorter state exists

  struct Branch {
    std::uint32_t node = 0;
    std::uint32_t child = 0;
    std::uint32_t entry = 0;  // the first entry that goes through the child
    unsigned char byte = 0;
  };
  // Nodes [node, node of the next run) that are marked fall back to consecutive nodes from `to`.
  struct FailRun {
    std::uint32_t node = 0;
    State to;
  };
  struct Builder;

  [[nodiscard]] std::uint32_t branch_child(std::uint32_t node, unsigned char c) const;

  std::uint32_t head_bytes_;
  std::vector<std::uint16_t> cells_;
  std::vector<std::uint32_t> roots_;  // of each head
  std::vector<Branch> branches_;      // by node and byte
  std::vector<FailRun> fail_runs_;    // by node
  std::vector<Output> outputs_;
  std::unordered_map<std::uint32_t, std::uint32_t> node_outputs_;
};

inline bool MaskTrie::step(State& state, unsigned char c) const {
  const std::uint16_t cell = cells_[state.node];
  if ((cell & goes_on) != 0 && static_cast<unsigned char>(cells_[state.node + 1]) == c) {
    ++state.node;
    ++state.depth;
    return true;
  }
  if ((cell & branches) == 0) return false;
  const std::uint32_t child = branch_child(state.node, c);
  if (child == none) return false;
  state.node = child;
  ++state.depth;
  return true;
}

}  // namespace flow_runner
