#include "executor/git_index_file.hpp"

#include <doctest/doctest.h>

#include "executor/git_handles.hpp"
#include "tests/executor/git_scratch.hpp"

namespace flow_runner {
namespace {

const char* const some_id = "257cc5642cb1a054f08cc83f2d943e56fd3ebe99";

IndexEntry entry(std::string path, std::uint32_t mode = 0100644) {
  return {std::move(path), *parse_oid(some_id, "id"), mode, 1'600'000'000, 3};
}

CachedTree tree(std::string name, std::uint32_t count, std::vector<CachedTree> children = {}) {
  return {std::move(name), *parse_oid(some_id, "id"), count, std::move(children)};
}

std::string sample() {
  IndexWriter writer(0);
  for (const auto& one : {entry("a"), entry("b/x", 0100755), entry("b/y/z", 0120000)}) {
    REQUIRE(writer.add(one).has_value());
  }
  return writer.finish(tree("", 3, {tree("b", 2, {tree("y", 1)})}));
}

TEST_CASE("index file: git reads what was written") {
  const test::GitScratch scratch;
  scratch.make_repository("work");
  scratch.write("work/.git/index", sample());
  const std::string id = some_id;
  CHECK(scratch.sh("git ls-files -s", "work") ==
        "100644 " + id + " 0\ta\n100755 " + id + " 0\tb/x\n120000 " + id + " 0\tb/y/z");
  CHECK(scratch.sh("git ls-files --debug a | grep -e mtime -e size", "work") ==
        "  mtime: 1600000000:0\n  size: 3\tflags: 0");
}

TEST_CASE("index file: what was written is parsed again, with its cached trees") {
  auto index = IndexFile::parse(sample());
  REQUIRE(index.has_value());
  CHECK(index->entry_count() == 3);
  std::string paths;
  index->for_each(
      [&](std::string_view path, std::uint32_t mode, const git_oid& id, std::string_view raw) {
        paths += std::string(path) + ':' + std::to_string(mode) + ' ';
        CHECK(to_hex(id) == some_id);
        CHECK(raw.size() % 8 == 0);
      });
  CHECK(paths == "a:33188 b/x:33261 b/y/z:40960 ");
  const CachedTree root = index->take_trees();
  CHECK(root.entry_count == 3);
  REQUIRE(root.children.size() == 1);
  CHECK(root.children[0].name == "b");
  CHECK(root.children[0].children.at(0).entry_count == 1);
}

TEST_CASE("index file: a path longer than the flags can say is kept") {
  IndexWriter writer(0);
  const std::string path(4095, 'p');
  REQUIRE(writer.add(entry(path)).has_value());
  const auto index = IndexFile::parse(writer.finish(tree("", 1)));
  REQUIRE(index.has_value());
  index->for_each([&](std::string_view found, std::uint32_t, const git_oid&, std::string_view) {
    CHECK(found == path);
  });
}

TEST_CASE("index file: entries out of order are refused") {
  IndexWriter writer(0);
  REQUIRE(writer.add(entry("b")).has_value());
  CHECK_FALSE(writer.add(entry("a")).has_value());
  IndexWriter twice(0);
  REQUIRE(twice.add(entry("b")).has_value());
  CHECK_FALSE(twice.add(entry("b")).has_value());
}

TEST_CASE("index file: any changed or missing byte is found") {
  const std::string good = sample();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    CHECK_FALSE(IndexFile::parse(bad).has_value());
    CHECK_FALSE(IndexFile::parse(good.substr(0, i)).has_value());
  }
}

}  // namespace
}  // namespace flow_runner
