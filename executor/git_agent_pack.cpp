#include "executor/git_agent_pack.hpp"

#include <algorithm>
#include <map>
#include <sys/mman.h>

#include "executor/git_inflate.hpp"
#include "executor/git_quarantine.hpp"

namespace flow_runner {
namespace {

constexpr std::uint32_t max_entries = 1'000'000;
// git itself makes chains of 50, and at most of 4095.
constexpr std::uint32_t max_delta_depth = 4096;
constexpr std::size_t header_bytes = 12;
constexpr std::size_t trailer_bytes = 20;

Error bad_pack(std::string_view why) {
  return {ErrorCode::invalid_input, "a pack is broken: " + std::string(why)};
}

std::uint32_t big_endian(std::string_view bytes) noexcept {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8U | static_cast<unsigned char>(byte);
  return value;
}

struct EntryHeader {
  unsigned type = 0;
  std::uint64_t size = 0;
};

Result<EntryHeader> take_header(std::string_view pack, std::size_t& at) {
  EntryHeader header;
  for (unsigned shift = 0; at < pack.size() && shift < 60;) {
    const auto byte = static_cast<unsigned char>(pack[at++]);
    if (shift == 0) {
      header.type = (byte >> 4U) & 7U;
      header.size = byte & 15U;
      shift = 4;
    } else {
      header.size |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      shift += 7;
    }
    if ((byte & 0x80U) == 0) return header;
  }
  return bad_pack("an entry's header cannot be read");
}

Result<std::uint64_t> take_base_distance(std::string_view pack, std::size_t& at) {
  std::uint64_t distance = 0;
  for (int digits = 0; at < pack.size() && digits < 8; ++digits) {
    const auto byte = static_cast<unsigned char>(pack[at++]);
    if (digits > 0) ++distance;
    distance = distance << 7U | (byte & 0x7fU);
    if ((byte & 0x80U) == 0) return distance;
  }
  return bad_pack("a delta's base cannot be read");
}

std::optional<ObjectType> whole_type(unsigned type) noexcept {
  switch (type) {
    case 1:
      return ObjectType::commit;
    case 2:
      return ObjectType::tree;
    case 3:
      return ObjectType::blob;
    case 4:
      return ObjectType::tag;
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<void> InflationBudget::charge(std::uint64_t bytes) {
  if (bytes > max_object_bytes) {
    return Error{ErrorCode::invalid_input, "an object has " + std::to_string(bytes) +
                                               " bytes, more than " +
                                               std::to_string(max_object_bytes)};
  }
  if (bytes > total_left) {
    return Error{ErrorCode::invalid_input, "all objects together are over the limit"};
  }
  total_left -= bytes;
  return {};
}

Result<MappedFile> MappedFile::map(const OpenedFile& file) {
  if (file.size == 0) return MappedFile(std::string_view{});
  void* memory = mmap(nullptr, file.size, PROT_READ, MAP_PRIVATE, file.descriptor.get(), 0);
  if (memory == MAP_FAILED) return errno_error("cannot map a pack of the workspace");
  return MappedFile(std::string_view(static_cast<const char*>(memory), file.size));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

/// Which deltas build on what, while the ids are being computed.
struct AgentPack::Children {
  std::multimap<std::uint32_t, std::uint32_t> of_entry;
  std::multimap<ObjectId, std::uint32_t> of_id;

  /// Takes them out: an object that a pack holds a thousand times does not resolve them as often.
  std::vector<std::uint32_t> take(std::uint32_t index, const ObjectId& id) {
    std::vector<std::uint32_t> found;
    for (auto [at, end] = of_entry.equal_range(index); at != end; ++at) found.push_back(at->second);
    for (auto [at, end] = of_id.equal_range(id); at != end; ++at) found.push_back(at->second);
    of_entry.erase(index);
    of_id.erase(id);
    return found;
  }
};

Result<AgentPack> AgentPack::open(const OpenedFile& file, InflationBudget& budget) {
  FR_TRY(MappedFile mapped, MappedFile::map(file));
  AgentPack pack(std::move(mapped));
  Children children;
  FR_CHECK(pack.scan(budget, children));
  for (std::uint32_t i = 0; i < pack.entries_.size(); ++i) {
    if (!pack.entries_[i].delta) FR_CHECK(pack.resolve(i, children));
  }
  for (std::uint32_t i = 0; i < pack.entries_.size(); ++i) {
    if (pack.entries_[i].known) pack.by_id_.emplace(pack.entries_[i].id, i);
  }
  return pack;
}

Result<void> AgentPack::scan(InflationBudget& budget, Children& children) {
  const std::string_view pack = file_.bytes();
  if (pack.size() < header_bytes + trailer_bytes || !pack.starts_with("PACK")) {
    return bad_pack("it has no header");
  }
  const std::uint32_t version = big_endian(pack.substr(4));
  const std::uint32_t count = big_endian(pack.substr(8));
  if (version != 2 && version != 3) return bad_pack("its version is unknown");
  if (count > max_entries) return bad_pack("it has more than 1000000 objects");
  std::size_t at = header_bytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    FR_TRY(at, scan_entry(at, budget, children));
  }
  return {};
}

Result<std::size_t> AgentPack::scan_entry(std::size_t at, InflationBudget& budget,
                                          Children& children) {
  const std::string_view pack = file_.bytes().substr(0, file_.bytes().size() - trailer_bytes);
  const auto index = static_cast<std::uint32_t>(entries_.size());
  Entry entry{.start = at};
  FR_TRY(const EntryHeader header, take_header(pack, at));
  entry.size = header.size;
  if (header.type == 6) {
    FR_TRY(const std::uint64_t distance, take_base_distance(pack, at));
    const std::uint64_t start = distance > entry.start ? 0 : entry.start - distance;
    const auto base = std::lower_bound(
        entries_.begin(), entries_.end(), start,
        [](const Entry& candidate, std::uint64_t offset) { return candidate.start < offset; });
    if (base == entries_.end() || base->start != start) {
      return bad_pack("a delta's base is no entry");
    }
    children.of_entry.emplace(static_cast<std::uint32_t>(base - entries_.begin()), index);
  } else if (header.type == 7) {
    ObjectId base;
    if (pack.size() - at < base.bytes.size()) return bad_pack("it is cut off");
    std::copy_n(pack.data() + at, base.bytes.size(), base.bytes.begin());
    at += base.bytes.size();
    children.of_id.emplace(base, index);
  } else if (!whole_type(header.type)) {
    return bad_pack("an entry's type is unknown");
  }
  entry.delta = header.type >= 6;
  entry.data = at;
  FR_CHECK(budget.charge(entry.size));
  FR_TRY(const Inflation content, inflate_at_most(pack.substr(at), entry.size));
  if (!content.complete || content.bytes.size() != entry.size) {
    return bad_pack("an entry does not have the size that it states");
  }
  if (entry.delta) {
    FR_TRY(const DeltaSizes sizes, read_delta_sizes(content.bytes));
    FR_CHECK(budget.charge(sizes.result));
  } else {
    entry.type = *whole_type(header.type);
    FR_TRY(entry.id, Quarantine::hash(entry.type, content.bytes));
    entry.known = true;
  }
  entries_.push_back(entry);
  return at + content.consumed;
}

Result<std::string> AgentPack::inflate_entry(const Entry& entry) const {
  FR_TRY(Inflation content, inflate_at_most(file_.bytes().substr(entry.data), entry.size));
  return std::move(content.bytes);
}

Result<void> AgentPack::resolve(std::uint32_t root, Children& children) {
  struct Frame {
    std::uint32_t index = 0;
    std::string data;
    std::vector<std::uint32_t> children;
  };
  // Depth first with a stack of our own, so that each object is made once and only the bases of the
  // chain in hand are kept; scan() has bounded the sum of all.
  std::vector<std::uint32_t> first = children.take(root, entries_[root].id);
  if (first.empty()) return {};
  std::vector<Frame> stack;
  FR_TRY(std::string root_data, inflate_entry(entries_[root]));
  stack.push_back({.index = root, .data = std::move(root_data), .children = std::move(first)});
  while (!stack.empty()) {
    Frame& parent = stack.back();
    if (parent.children.empty()) {
      stack.pop_back();
      continue;
    }
    const std::uint32_t index = parent.children.back();
    parent.children.pop_back();
    Entry& entry = entries_[index];
    if (entry.known) continue;
    entry.base = parent.index;
    entry.depth = entries_[parent.index].depth + 1;
    if (entry.depth > max_delta_depth) return bad_pack("a chain of deltas is longer than 4096");
    entry.type = entries_[parent.index].type;
    FR_TRY(const std::string delta, inflate_entry(entry));
    FR_TRY(std::string data, apply_delta(parent.data, delta));
    FR_TRY(entry.id, Quarantine::hash(entry.type, data));
    entry.known = true;
    std::vector<std::uint32_t> next = children.take(index, entry.id);
    if (next.empty()) continue;
    stack.push_back({.index = index, .data = std::move(data), .children = std::move(next)});
  }
  return {};
}

Result<std::optional<RawObject>> AgentPack::find(const ObjectId& id,
                                                 InflationBudget& budget) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return std::optional<RawObject>{};
  std::vector<std::uint32_t> chain{found->second};
  while (entries_[chain.back()].delta) chain.push_back(entries_[chain.back()].base);
  std::string data;
  for (auto index = chain.rbegin(); index != chain.rend(); ++index) {
    FR_TRY(std::string piece, inflate_entry(entries_[*index]));
    if (index != chain.rbegin()) {
      FR_TRY(piece, apply_delta(data, piece));
    }
    if (piece.size() > budget.work_left) {
      return Error{ErrorCode::invalid_input, "the chains of deltas take too much work"};
    }
    budget.work_left -= piece.size();
    data = std::move(piece);
  }
  return std::optional(RawObject{.type = entries_[found->second].type, .data = std::move(data)});
}

}  // namespace flow_runner
