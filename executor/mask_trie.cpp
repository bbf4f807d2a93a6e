#include "executor/mask_trie.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string.h>
#include <utility>

namespace flow_runner {
namespace {

std::size_t common_prefix(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first -
      a.begin());
}

}  // namespace

// Two passes: the nodes, numbered in the patterns' order (so a child mostly is the next node);
// then, level by level, fall-backs and outputs, which depend on shallower nodes only.
struct MaskTrie::Builder {
  MaskTrie& trie;
  const std::vector<Entry>& entries;
  const MaskHeads& heads;

  struct Segment {  // consecutive nodes on the current pattern's path
    std::size_t depth = 0;
    std::uint32_t node = 0;
  };
  std::vector<Segment> path;

  // By their first node. Runs still grow while others look them up.
  struct GrowingRun {
    std::uint32_t length = 0;
    State to;
  };
  using Runs = std::map<std::uint32_t, GrowingRun>;
  Runs runs;

  struct Front {
    std::uint32_t node = 0;
    std::uint32_t entry = 0;  // the first entry that goes through the node
    State fail;
    Runs::iterator run;
  };

  std::uint32_t next_node() const { return static_cast<std::uint32_t>(trie.cells_.size()); }

  std::uint32_t node_at(std::size_t depth) const {
    auto segment = path.end();
    do {
      --segment;
    } while (segment->depth > depth);
    return segment->node + static_cast<std::uint32_t>(depth - segment->depth);
  }

  void add_nodes() {
    std::size_t total = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      total += entries[i].bytes.size();
      if (total >= none) throw std::length_error("masker: the secrets exceed 4 GiB");
      add_path(i);
    }
    std::sort(trie.branches_.begin(), trie.branches_.end(), [](const Branch& a, const Branch& b) {
      return std::pair(a.node, a.byte) < std::pair(b.node, b.byte);
    });
  }

  void add_path(std::size_t index) {
    const std::string_view bytes = entries[index].bytes;
    const std::string_view previous = index == 0 ? std::string_view() : entries[index - 1].bytes;
    std::size_t depth = common_prefix(previous, bytes);
    if (depth < heads.head_bytes()) {
      depth = heads.head_bytes();
      path.assign(1, {depth, next_node()});
      trie.roots_.push_back(next_node());
      trie.cells_.push_back(0);
    } else if (depth == previous.size()) {
      trie.cells_.back() |= goes_on;
      trie.cells_.push_back(static_cast<unsigned char>(bytes[depth++]));
    } else {
      const std::uint32_t parent = node_at(depth);
      const auto byte = static_cast<unsigned char>(bytes[depth++]);
      trie.cells_[parent] |= branches;
      trie.branches_.push_back({.node = parent,
                                .child = next_node(),
                                .entry = static_cast<std::uint32_t>(index),
                                .byte = byte});
      while (path.back().depth >= depth) path.pop_back();
      path.push_back({depth, next_node()});
      trie.cells_.push_back(byte);
    }
    for (; depth < bytes.size(); ++depth) {
      trie.cells_.back() |= goes_on;
      trie.cells_.push_back(static_cast<unsigned char>(bytes[depth]));
    }
  }

  bool fall_back(State& state) const {
    if ((trie.cells_[state.node] & falls_back) == 0) return false;
    const auto run = std::prev(runs.upper_bound(state.node));
    const std::uint32_t distance = state.node - run->first;
    state = {run->second.to.node + distance, run->second.to.depth + distance};
    return true;
  }

  // Where the child that `c` leads to from a node with fall-back `fail` falls back to.
  State fail_of_child(State fail, unsigned char c, std::string_view child) const {
    while (fail.node != none) {
      if (trie.step(fail, c)) return fail;
      if (!fall_back(fail)) break;
    }
    const std::size_t head_bytes = heads.head_bytes();
    const std::uint32_t head = heads.find_at(child.data() + child.size() - head_bytes);
    return head == MaskHeads::none ? State{} : trie.start(head);
  }

  void set_fail(Front& child, const Front& parent) {
    if (child.fail.node == none) return;
    trie.cells_[child.node] |= falls_back;
    if (parent.run != runs.end() && child.node == parent.node + 1 &&
        child.fail.node == parent.fail.node + 1 && child.fail.depth == parent.fail.depth + 1) {
      child.run = parent.run;
      ++child.run->second.length;
    } else {
      child.run = runs.insert({child.node, {.length = 1, .to = child.fail}}).first;
    }
  }

  void set_output(const Front& front, std::size_t depth) {
    std::uint32_t shorter = none;
    if (front.fail.node != none && trie.has_output(front.fail)) shorter = trie.output(front.fail);
    const Entry& entry = entries[front.entry];
    if (entry.bytes.size() == depth) {
      trie.outputs_.push_back(
          {.bytes = static_cast<std::uint32_t>(depth), .pattern = entry.pattern, .next = shorter});
      shorter = static_cast<std::uint32_t>(trie.outputs_.size() - 1);
    }
    if (shorter == none) return;
    trie.cells_[front.node] |= outputs;
    trie.node_outputs_.emplace(front.node, shorter);
  }

  Front child_of(const Front& parent, std::uint32_t node, std::uint32_t entry, std::size_t depth) {
    const std::string_view bytes = entries[entry].bytes.substr(0, depth);
    Front child{.node = node, .entry = entry, .fail = {}, .run = runs.end()};
    child.fail = fail_of_child(parent.fail, static_cast<unsigned char>(bytes.back()), bytes);
    set_fail(child, parent);
    set_output(child, depth);
    return child;
  }

  void add_links() {
    std::vector<Front> front;
    for (std::uint32_t i = 0, root = 0; i < entries.size() && root < trie.roots_.size(); ++i) {
      const std::string_view head = entries[i].bytes.substr(0, heads.head_bytes());
      if (i > 0 && entries[i - 1].bytes.starts_with(head)) continue;
      front.push_back({.node = trie.roots_[root++], .entry = i, .fail = {}, .run = runs.end()});
      set_output(front.back(), heads.head_bytes());
    }
    std::vector<Front> next;
    for (std::size_t depth = heads.head_bytes(); !front.empty(); ++depth) {
      next.clear();
      for (const Front& parent : front) {
        const std::uint16_t cell = trie.cells_[parent.node];
        if ((cell & goes_on) != 0) {
          // An entry that ends at the parent is followed by the first one that goes on.
          const bool ends = entries[parent.entry].bytes.size() == depth;
          next.push_back(
              child_of(parent, parent.node + 1, parent.entry + (ends ? 1 : 0), depth + 1));
        }
        if ((cell & branches) == 0) continue;
        auto branch =
            std::lower_bound(trie.branches_.begin(), trie.branches_.end(), parent.node,
                             [](const Branch& b, std::uint32_t node) { return b.node < node; });
        for (; branch != trie.branches_.end() && branch->node == parent.node; ++branch)
          next.push_back(child_of(parent, branch->child, branch->entry, depth + 1));
      }
      front.swap(next);
    }
    trie.fail_runs_.reserve(runs.size());
    for (const auto& [node, run] : runs) trie.fail_runs_.push_back({node, run.to});
  }
};

MaskTrie::MaskTrie(const std::vector<Entry>& sorted, const MaskHeads& heads)
    : head_bytes_(static_cast<std::uint32_t>(heads.head_bytes())) {
  std::size_t cells = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const std::size_t shared = i == 0 ? 0 : common_prefix(sorted[i - 1].bytes, sorted[i].bytes);
    cells += sorted[i].bytes.size() + 1 - std::max<std::size_t>(shared, head_bytes_);
  }
  // Reserved in one piece: a vector that grows leaves copies of secrets behind.
  cells_.reserve(cells);
  Builder builder{.trie = *this, .entries = sorted, .heads = heads, .path = {}, .runs = {}};
  builder.add_nodes();
  builder.add_links();
}

MaskTrie::~MaskTrie() {
  if (!cells_.empty()) explicit_bzero(cells_.data(), cells_.size() * sizeof(cells_[0]));
}

bool MaskTrie::fall_back(State& state) const {
  if ((cells_[state.node] & falls_back) == 0) return false;
  const auto after =
      std::upper_bound(fail_runs_.begin(), fail_runs_.end(), state.node,
                       [](std::uint32_t node, const FailRun& run) { return node < run.node; });
  const FailRun& run = *std::prev(after);
  const std::uint32_t distance = state.node - run.node;
  state = {run.to.node + distance, run.to.depth + distance};
  return true;
}

std::uint32_t MaskTrie::branch_child(std::uint32_t node, unsigned char c) const {
  const auto branch = std::lower_bound(
      branches_.begin(), branches_.end(), std::pair(node, c),
      [](const Branch& b, const auto& key) { return std::pair(b.node, b.byte) < key; });
  if (branch == branches_.end() || branch->node != node || branch->byte != c) return none;
  return branch->child;
}

}  // namespace flow_runner
