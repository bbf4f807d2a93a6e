#include "executor/git_index_file.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <openssl/evp.h>

#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t hash_bytes = GIT_OID_RAWSZ;
constexpr std::size_t fixed_entry_bytes = 62;  // all of an entry before its path
constexpr std::size_t mode_offset = 24;
constexpr std::size_t id_offset = 40;
constexpr std::uint16_t longest_flagged_name = 0xFFF;
// A path of 4095 bytes has at most 2048 components; the reader recurses once per component.
constexpr std::size_t max_depth = 2048;

using Hash = std::array<unsigned char, hash_bytes>;

// OpenSSL's SHA-1 uses the processor's instructions: libgit2's collision-detecting one would take
// longer over the index of a large repository than all the rest of a delta. The index is our own
// file.
Hash sha1(std::string_view bytes) {
  Hash hash{};
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash.data(), &length, EVP_sha1(), nullptr);
  return hash;
}

void put_u32(std::string& into, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) into += static_cast<char>((value >> shift) & 0xFF);
}

std::uint32_t get_u32(std::string_view bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  return value;
}

std::size_t padded(std::size_t path_bytes) {
  return (fixed_entry_bytes + path_bytes + 8) & ~std::size_t{7};
}

Error broken(std::string_view what) {
  return {ErrorCode::invalid_input, "the snapshot's index is broken: " + std::string(what)};
}

// Order of children in the extension, as git's subtree_name_cmp has it.
bool before_in_cache(const CachedTree* a, const CachedTree* b) {
  if (a->name.size() != b->name.size()) return a->name.size() < b->name.size();
  return a->name < b->name;
}

void put_tree(std::string& into, const CachedTree& tree) {
  into += tree.name;
  into += '\0';
  into += std::to_string(tree.entry_count) + ' ' + std::to_string(tree.children.size()) + '\n';
  into.append(reinterpret_cast<const char*>(tree.id.id), hash_bytes);
  std::vector<const CachedTree*> sorted;
  sorted.reserve(tree.children.size());
  for (const auto& child : tree.children) sorted.push_back(&child);
  std::sort(sorted.begin(), sorted.end(), before_in_cache);
  for (const CachedTree* child : sorted) put_tree(into, *child);
}

/// Reads the extension TREE from a view that shrinks.
class TreeReader {
 public:
  explicit TreeReader(std::string_view bytes) : rest_(bytes) {}

  Result<CachedTree> read(std::size_t depth) {
    if (depth > max_depth) return broken("its cached trees are nested too deep");
    CachedTree tree;
    FR_TRY(tree.name, until('\0'));
    FR_TRY(tree.entry_count, number(' '));
    FR_TRY(const std::uint32_t children, number('\n'));
    // A child takes 24 bytes at least: the count cannot make us reserve more than the file has.
    if (rest_.size() < hash_bytes || children > rest_.size() / 24)
      return broken("a cached tree is cut");
    std::memcpy(tree.id.id, rest_.data(), hash_bytes);
    rest_.remove_prefix(hash_bytes);
    tree.children.reserve(children);
    for (std::uint32_t i = 0; i < children; ++i) {
      FR_TRY(auto child, read(depth + 1));
      tree.children.push_back(std::move(child));
    }
    return tree;
  }

 private:
  Result<std::string> until(char end) {
    const std::size_t at = rest_.find(end);
    if (at == std::string_view::npos) return broken("a cached tree is cut");
    std::string text(rest_.substr(0, at));
    rest_.remove_prefix(at + 1);
    return text;
  }
  Result<std::uint32_t> number(char end) {
    FR_TRY(const std::string text, until(end));
    std::uint32_t value = 0;
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || stop != text.data() + text.size()) {
      return broken("a cached tree has no valid count");
    }
    return value;
  }

  std::string_view rest_;
};

}  // namespace

Result<IndexFile> IndexFile::parse(std::string bytes) {
  if (bytes.size() < header_bytes + hash_bytes || !bytes.starts_with("DIRC") ||
      get_u32(bytes, 4) != 2) {
    return broken("it is not an index of version 2");
  }
  const std::string_view body = std::string_view(bytes).substr(0, bytes.size() - hash_bytes);
  const Hash hash = sha1(body);
  if (std::memcmp(hash.data(), bytes.data() + body.size(), hash_bytes) != 0) {
    return broken("its checksum is wrong");
  }
  IndexFile index;
  index.bytes_ = std::move(bytes);
  index.entry_count_ = get_u32(index.bytes_, 8);
  std::size_t at = header_bytes;
  for (std::uint32_t i = 0; i < index.entry_count_; ++i) {
    const View view = index.entry_at(at);
    if (view.raw.empty()) return broken("an entry is cut");
    at += view.raw.size();
  }
  FR_CHECK(index.parse_extensions(at));
  return index;
}

IndexFile::View IndexFile::entry_at(std::size_t offset) const {
  const std::size_t end = bytes_.size() - hash_bytes;
  if (offset + fixed_entry_bytes >= end) return {};
  const std::size_t path_begin = offset + fixed_entry_bytes;
  const void* nul = std::memchr(bytes_.data() + path_begin, '\0', end - path_begin);
  if (nul == nullptr) return {};
  const auto path_bytes =
      static_cast<std::size_t>(static_cast<const char*>(nul) - bytes_.data()) - path_begin;
  const std::size_t total = padded(path_bytes);
  if (path_bytes == 0 || offset + total > end) return {};
  View view;
  view.path = std::string_view(bytes_).substr(path_begin, path_bytes);
  view.mode = get_u32(bytes_, offset + mode_offset);
  std::memcpy(view.id.id, bytes_.data() + offset + id_offset, hash_bytes);
  view.raw = std::string_view(bytes_).substr(offset, total);
  return view;
}

Result<void> IndexFile::parse_extensions(std::size_t offset) {
  const std::size_t end = bytes_.size() - hash_bytes;
  const std::string_view rest = std::string_view(bytes_).substr(offset, end - offset);
  if (rest.size() < 8 || !rest.starts_with("TREE") || get_u32(rest, 4) != rest.size() - 8) {
    return broken("its cached trees are missing");
  }
  FR_TRY(trees_, TreeReader(rest.substr(8)).read(0));
  return {};
}

IndexWriter::IndexWriter(std::size_t expected_bytes) {
  bytes_.reserve(expected_bytes + 4096);
  bytes_ = "DIRC";
  put_u32(bytes_, 2);
  put_u32(bytes_, 0);  // the count, known at the end
}

Result<void> IndexWriter::advance(std::string_view path) {
  if (entry_count_ > 0 && path <= last_path_) {
    return Error{ErrorCode::invalid_input, "a tree of the commit is not sorted, or names " +
                                               quote_path(path) + " twice; git fsck will name it"};
  }
  last_path_ = path;
  ++entry_count_;
  return {};
}

Result<void> IndexWriter::add(const IndexEntry& entry) {
  FR_CHECK(advance(entry.path));
  const std::size_t begin = bytes_.size();
  put_u32(bytes_, 0);  // ctime
  put_u32(bytes_, 0);
  put_u32(bytes_, entry.mtime);
  put_u32(bytes_, 0);
  put_u32(bytes_, 0);  // device
  put_u32(bytes_, 0);  // inode
  put_u32(bytes_, entry.mode);
  put_u32(bytes_, 0);  // user
  put_u32(bytes_, 0);  // group
  put_u32(bytes_, entry.size);
  bytes_.append(reinterpret_cast<const char*>(entry.id.id), hash_bytes);
  const auto flagged =
      static_cast<std::uint16_t>(std::min<std::size_t>(entry.path.size(), longest_flagged_name));
  bytes_ += static_cast<char>(flagged >> 8);
  bytes_ += static_cast<char>(flagged & 0xFF);
  bytes_ += entry.path;
  bytes_.resize(begin + padded(entry.path.size()), '\0');
  return {};
}

Result<void> IndexWriter::add_raw(std::string_view path, std::string_view raw) {
  FR_CHECK(advance(path));
  bytes_ += raw;
  return {};
}

std::string IndexWriter::finish(const CachedTree& trees) {
  std::string count;
  put_u32(count, entry_count_);
  bytes_.replace(8, 4, count);
  std::string extension;
  put_tree(extension, trees);
  bytes_ += "TREE";
  put_u32(bytes_, static_cast<std::uint32_t>(extension.size()));
  bytes_ += extension;
  const Hash hash = sha1(bytes_);
  bytes_.append(reinterpret_cast<const char*>(hash.data()), hash.size());
  return std::move(bytes_);
}

}  // namespace flow_runner
