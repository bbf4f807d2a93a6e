#include "executor/git_agent_pack.hpp"

#include <doctest/doctest.h>
#include <string>
#include <vector>
#include <zlib.h>

#include "executor/git_handles.hpp"
#include "executor/git_inflate.hpp"
#include "executor/git_quarantine.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

std::string deflated(std::string_view text) {
  uLongf size = compressBound(text.size());
  std::string result(size, '\0');
  compress(reinterpret_cast<Bytef*>(result.data()), &size,
           reinterpret_cast<const Bytef*>(text.data()), text.size());
  result.resize(size);
  return result;
}

std::string header(unsigned type, std::size_t size) {
  std::string bytes;
  unsigned first = type << 4U | (size & 15U);
  size >>= 4U;
  while (size > 0) {
    bytes += static_cast<char>(first | 0x80U);
    first = size & 0x7fU;
    size >>= 7U;
  }
  return bytes + static_cast<char>(first);
}

std::string pack_of(const std::vector<std::string>& entries) {
  std::string bytes("PACK\0\0\0\2\0\0\0", 11);
  bytes += static_cast<char>(entries.size());
  for (const auto& entry : entries) bytes += entry;
  return bytes + std::string(20, '\0');
}

std::string blob(std::string_view text) { return header(3, text.size()) + deflated(text); }

std::string ref_delta(const ObjectId& base, std::string_view delta) {
  return header(7, delta.size()) + std::string(base.bytes.begin(), base.bytes.end()) +
         deflated(delta);
}

std::string offset_delta(std::size_t distance, std::string_view delta) {
  return header(6, delta.size()) + static_cast<char>(distance) + deflated(delta);
}

/// From "hello" to "hellohello!": copy all twice, insert '!'.
const std::string twice{"\x05\x0b\x90\x05\x90\x05\x01!", 8};

Result<AgentPack> open_pack(const std::string& bytes, InflationBudget& budget) {
  FR_TRY(Descriptor file, memory_file("pack", bytes));
  return AgentPack::open({.descriptor = std::move(file), .size = bytes.size()}, budget);
}

InflationBudget roomy() {
  return {.max_object_bytes = 1 << 20, .total_left = 8 << 20, .work_left = 8 << 20};
}

}  // namespace

TEST_CASE("pack: whole objects and both kinds of deltas are found by id") {
  const GitLibrary library;
  const ObjectId hello = *Quarantine::hash(ObjectType::blob, "hello");
  const ObjectId doubled = *Quarantine::hash(ObjectType::blob, "hellohello!");
  const std::string whole = blob("hello");
  // The deltas stand before and behind what they build on.
  for (const auto& pack :
       {pack_of({ref_delta(hello, twice), whole}), pack_of({whole, ref_delta(hello, twice)}),
        pack_of({whole, offset_delta(whole.size(), twice)})}) {
    InflationBudget budget = roomy();
    const auto opened = open_pack(pack, budget);
    REQUIRE(opened.has_value());
    const auto found = opened->find(doubled, budget);
    REQUIRE(found.has_value());
    REQUIRE(found->has_value());
    CHECK((*found)->data == "hellohello!");
    CHECK((*opened->find(hello, budget))->data == "hello");
    CHECK_FALSE(opened->find(ObjectId{}, budget)->has_value());
  }
}

TEST_CASE("pack: sizes that lie, bases that are missing and deltas beyond the limit are refused") {
  const GitLibrary library;
  const std::string whole = blob("hello");
  const auto refused = [](const std::string& pack) {
    InflationBudget budget = roomy();
    const auto opened = open_pack(pack, budget);
    return opened ? std::string("accepted") : opened.error().message;
  };
  const std::string zeros(4 << 20, '\0');
  CHECK(refused(pack_of({header(3, 10) + deflated(zeros)})).find("size") != std::string::npos);
  CHECK(refused(pack_of({header(3, zeros.size()) + deflated("x")})).find("bytes") !=
        std::string::npos);
  CHECK(refused(pack_of({blob(zeros)})).find("4194304 bytes") != std::string::npos);
  // A delta of a few bytes that states a result of 2^34 bytes.
  const std::string huge{"\x05\x80\x80\x80\x80\x40\x90\x05", 8};
  CHECK(refused(pack_of({whole, offset_delta(whole.size(), huge)})).find("bytes, more than") !=
        std::string::npos);
  CHECK(refused(pack_of({whole, offset_delta(3, twice)})).find("no entry") != std::string::npos);
  CHECK(refused(pack_of({whole, offset_delta(0, twice)})).find("no entry") != std::string::npos);
  const std::string outside{"\x05\x0b\x91\x04\x05\x01!", 7};
  CHECK(refused(pack_of({whole, offset_delta(whole.size(), outside)})).find("delta") !=
        std::string::npos);
  CHECK(refused("PACK").find("no header") != std::string::npos);
  CHECK(refused("").find("no header") != std::string::npos);
  InflationBudget budget = roomy();
  const auto thin = open_pack(pack_of({ref_delta(ObjectId{}, twice)}), budget);
  REQUIRE(thin.has_value());
  CHECK_FALSE(thin->find(ObjectId{}, budget)->has_value());
}

TEST_CASE("pack: a chain of deltas is bounded in length and in work") {
  const GitLibrary library;
  std::vector<std::string> entries{blob("hello")};
  const std::string same{"\x05\x05\x90\x05", 4};
  for (int i = 0; i < 200; ++i) entries.push_back(offset_delta(entries.back().size(), same));
  InflationBudget budget = roomy();
  const auto chain = open_pack(pack_of(entries), budget);
  REQUIRE(chain.has_value());
  budget.work_left = 0;
  CHECK(chain->find(*Quarantine::hash(ObjectType::blob, "hello"), budget).has_error());
}

TEST_CASE("pack: no changed byte and no cut makes reading go wrong") {
  const GitLibrary library;
  const ObjectId hello = *Quarantine::hash(ObjectType::blob, "hello");
  const ObjectId doubled = *Quarantine::hash(ObjectType::blob, "hellohello!");
  const std::string whole = blob("hello");
  const std::string pack =
      pack_of({ref_delta(hello, twice), whole, offset_delta(whole.size(), twice)});
  const auto survives = [&](const std::string& bytes) {
    InflationBudget budget = roomy();
    const auto opened = open_pack(bytes, budget);
    if (!opened) return;
    const auto found = opened->find(doubled, budget);
    if (found && *found) CHECK((*found)->data == "hellohello!");
  };
  for (std::size_t at = 0; at < pack.size(); ++at) {
    survives(pack.substr(0, at));
    for (const int bit : {1, 2, 4, 8, 16, 32, 64, 128}) {
      std::string changed = pack;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      survives(changed);
    }
  }
}

TEST_CASE("inflate: a stream that goes on past the limit is not complete") {
  const std::string stream = deflated(std::string(100, 'x')) + "rest";
  const auto exact = inflate_at_most(stream, 100);
  REQUIRE(exact.has_value());
  CHECK(exact->complete);
  CHECK(exact->consumed == stream.size() - 4);
  const auto cut = inflate_at_most(stream, 99);
  REQUIRE(cut.has_value());
  CHECK_FALSE(cut->complete);
  CHECK(cut->bytes.size() == 99);
  CHECK(inflate_at_most("", 10).has_error());
  CHECK(inflate_at_most(stream.substr(0, 5), 100).has_error());
}

}  // namespace flow_runner
