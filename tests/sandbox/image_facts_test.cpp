#include "sandbox/image_facts.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A store's folders as podman lays them out: three layers, the short links, and the list of
/// images.
class Store {
 public:
  Store() {
    for (const char* layer : {"one", "two", "three"})
      fs::create_directories(storage() / "overlay" / layer / "diff");
    fs::create_directories(storage() / "overlay/l");
    fs::create_symlink("../one/diff", storage() / "overlay/l/SHORT");
    fs::create_directories(storage() / "overlay-images");
    fs::create_directories(folder_ / "facts");
    fixtures::write_file(list(), "[]");
  }
  [[nodiscard]] fs::path storage() const { return folder_ / "storage"; }
  [[nodiscard]] fs::path facts() const { return folder_ / "facts"; }
  [[nodiscard]] fs::path list() const { return storage() / "overlay-images/images.json"; }
  [[nodiscard]] fs::path diff(const char* layer) const {
    return storage() / "overlay" / layer / "diff";
  }

  [[nodiscard]] json inspection() const {
    return {{{"Id", std::string(64, 'a')},
             {"Digest", "sha256:" + std::string(64, 'b')},
             {"Created", "2026-01-02T03:04:05Z"},
             {"Config",
              {{"User", "agent:staff"},
               {"Env", {"PATH=/bin", "EMPTY=", "=bad", "nonsense"}},
               {"WorkingDir", "/work"},
               {"Entrypoint", {"/init"}},
               {"Cmd", {"sh", "-c"}}}},
             {"GraphDriver",
              {{"Data",
                {{"UpperDir", diff("three")},
                 {"LowerDir",
                  diff("two").string() + ":" + (storage() / "overlay/l/SHORT").string()}}}}}}};
  }

 private:
  fixtures::TemporaryDirectory folder_;
};

Result<ImageFacts> parse(const Store& store, const json& inspection) {
  return parse_image_inspection(inspection.dump(), "localhost/x:1", store.storage());
}

}  // namespace

TEST_CASE("image facts: podman's answer is read, layers bottom first and without short links") {
  const Store store;
  const auto facts = parse(store, store.inspection()).value();
  CHECK(facts.name == "localhost/x:1");
  CHECK(facts.layers == std::vector{fs::canonical(store.diff("one")),
                                    fs::canonical(store.diff("two")),
                                    fs::canonical(store.diff("three"))});
  CHECK(facts.env == std::vector<std::string>{"PATH=/bin", "EMPTY="});
  CHECK(facts.user == "agent:staff");
  CHECK(facts.working_dir == "/work");
  CHECK(facts.entrypoint == std::vector<std::string>{"/init"});
  CHECK(facts.cmd == std::vector<std::string>{"sh", "-c"});
  CHECK(facts.created == "2026-01-02T03:04:05Z");
}

TEST_CASE("image facts: an image without a configuration runs as root in /") {
  const Store store;
  json inspection = store.inspection();
  inspection[0]["Config"] = nullptr;
  const auto facts = parse(store, inspection).value();
  CHECK(facts.user.empty());
  CHECK(facts.working_dir == "/");
  CHECK(facts.env.empty());
}

TEST_CASE("image facts: what no job could use is refused, in words") {
  const Store store;
  const auto code_with = [&](const char* pointer, const json& value) {
    json inspection = store.inspection();
    inspection[0][json::json_pointer(pointer)] = value;
    const auto facts = parse(store, inspection);
    return facts ? ErrorCode::cancelled : facts.error().code;
  };
  CHECK(code_with("/Config/Env", {std::string("A=b\0c", 5)}) == ErrorCode::invalid_input);
  CHECK(code_with("/Config/Env", {1}) == ErrorCode::invalid_input);
  CHECK(code_with("/Config/Env", {"A=" + std::string(2 << 20, 'x')}) == ErrorCode::invalid_input);
  CHECK(code_with("/Config/Env", std::vector<std::string>(5000, "A=b")) ==
        ErrorCode::invalid_input);
  CHECK(code_with("/Config/User", std::string("a\0b", 3)) == ErrorCode::invalid_input);
  CHECK(code_with("/Config/User", std::string(5000, 'u')) == ErrorCode::invalid_input);
  CHECK(code_with("/Config/WorkingDir", json::array()) == ErrorCode::invalid_input);
  CHECK(code_with("/GraphDriver/Data", json::object()) == ErrorCode::invalid_input);
  CHECK(code_with("/GraphDriver/Data", "x") == ErrorCode::internal);
  CHECK(code_with("/GraphDriver/Data/UpperDir", "/etc") == ErrorCode::internal);
  CHECK(code_with("/GraphDriver/Data/UpperDir", store.storage() / "overlay/gone/diff") ==
        ErrorCode::not_found);
  CHECK(code_with("/Id", "../../etc") == ErrorCode::internal);
  for (const char* text : {"", "[]", "{}", "[1]", "[{}]", "[{},{}]", "{\"a\":", "\xff"})
    CHECK_FALSE(parse_image_inspection(text, "x", store.storage()).has_value());
}

TEST_CASE("image facts: the cache answers while the store is the same, and only then") {
  const Store store;
  const FactsCache cache(store.facts(), store.storage());
  const auto facts = parse(store, store.inspection()).value();
  CHECK_FALSE(cache.find("x").has_value());
  REQUIRE(cache.put("x", facts, *StoreStamp::of(store.storage())).has_value());
  CHECK(cache.find("x") == facts);
  CHECK_FALSE(cache.find("y").has_value());

  SUBCASE("a changed list of images") {
    fixtures::write_file(store.list(), "[1]");
    CHECK_FALSE(cache.find("x").has_value());
    cache.sweep();
    CHECK(fs::is_empty(store.facts()));
  }
  SUBCASE("a list of the same size and time in a new file") {
    const auto time = fs::last_write_time(store.list());
    fixtures::write_file(store.list().string() + ".new", "[]");
    fs::rename(store.list().string() + ".new", store.list());
    fs::last_write_time(store.list(), time);
    CHECK_FALSE(cache.find("x").has_value());
  }
  SUBCASE("an empty store") {
    fs::remove(store.list());
    CHECK_FALSE(cache.find("x").has_value());
  }
  SUBCASE("a layer that is gone") {
    fs::remove(store.diff("two"));
    CHECK_FALSE(cache.find("x").has_value());
  }
  SUBCASE("a layer that became a link") {
    fs::remove(store.diff("two"));
    fs::create_symlink("/etc", store.diff("two"));
    CHECK_FALSE(cache.find("x").has_value());
  }
  SUBCASE("a damaged entry") {
    for (const auto& entry : fs::directory_iterator(store.facts()))
      fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
    CHECK_FALSE(cache.find("x").has_value());
  }
  SUBCASE("nothing changed") {
    cache.sweep();
    CHECK(cache.find("x") == facts);
  }
}
