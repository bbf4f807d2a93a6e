#include "executor/git_protocol.hpp"

#include <doctest/doctest.h>

namespace flow_runner {
namespace {

using nlohmann::json;

// Through text, as between the processes: dump() would throw on bytes that are not UTF-8.
template <class T>
T through_text(const T& value) {
  auto parsed = from_json<T>(json::parse(to_json(value).dump()));
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
  return *parsed;
}

TEST_CASE("git protocol: requests survive the way through text") {
  const SnapshotRequest snapshot{.mirror = "/m", .commit = "c0", .directory = "/d", .base = "/b"};
  const auto snapshot_back = through_text(snapshot);
  CHECK(snapshot_back.mirror == "/m");
  CHECK(snapshot_back.commit == "c0");
  CHECK(snapshot_back.directory == "/d");
  CHECK(snapshot_back.base == "/b");

  const auto capture =
      through_text(CaptureRequest{.mirror = "/m", .repository = "/r", .include_untracked = false});
  CHECK(capture.repository == "/r");
  CHECK_FALSE(capture.include_untracked);

  TakeOverRequest take_over;
  take_over.merged = "/merged";
  take_over.upper = "/upper";
  take_over.message = "two\nlines";
  take_over.author_override = "A <a@b>";
  take_over.time = -5;
  take_over.max_total_bytes = 7;
  take_over.confine = false;
  const auto take_over_back = through_text(take_over);
  CHECK(take_over_back.merged == "/merged");
  CHECK(take_over_back.upper == "/upper");
  CHECK(take_over_back.message == "two\nlines");
  CHECK(take_over_back.author_override == "A <a@b>");
  CHECK_FALSE(take_over_back.committer_override.has_value());
  CHECK(take_over_back.time == -5);
  CHECK(take_over_back.max_total_bytes == 7);
  CHECK_FALSE(take_over_back.confine);

  CHECK(through_text(ReplayRequest{"/q", "b", "h", "o"}).onto == "o");
  CHECK(through_text(DiffRequest{"/r", "a", "b", 12, false}).max_bytes == 12);
  const auto apply = through_text(ApplyRequest{"/r", "a", "b", "/w", true});
  CHECK(apply.work_tree == "/w");
  CHECK(apply.dry_run);
}

TEST_CASE("git protocol: answers survive the way through text") {
  const auto info = through_text(SnapshotInfo{1, "c", "b", 3, 4, {"sub/one"}, true});
  CHECK(info.base_commit == "b");
  CHECK(info.files == 3);
  CHECK(info.bytes == 4);
  CHECK(info.submodules == std::vector<std::string>{"sub/one"});
  CHECK(info.lfs);
  CHECK(through_text(CaptureInfo{"h", "c", {"a"}, 9}).dirty_count == 9);
  CHECK(through_text(ReplayInfo{"", {"x/y"}, "why"}).conflicts == std::vector<std::string>{"x/y"});
  CHECK(through_text(ApplyInfo{{{"p", ChangeStatus::added, false}}, {"q"}}).changes.at(0).path ==
        "p");
  CHECK(
      through_text(DiffInfo{5, {{"p", ChangeStatus::type_changed, false}}}).changes.at(0).status ==
      ChangeStatus::type_changed);

  ChangeSet set;
  set.base = "b";
  set.head = "h";
  set.agent_commits = {"1", "2"};
  set.changes = {{"a", ChangeStatus::deleted, false}, {"b\xFF", ChangeStatus::modified, true}};
  set.kept_refs = {{"refs/kept/\x80", "3"}};
  set.warnings = {"w"};
  set.left_out = true;
  set.repository_broken = "it was";
  const auto back = through_text(set);
  CHECK(back.agent_commits == set.agent_commits);
  REQUIRE(back.changes.size() == 2);
  CHECK(back.changes[0].status == ChangeStatus::deleted);
  CHECK(back.changes[1].path == "b\xFF");
  CHECK(back.changes[1].lfs);
  CHECK(back.kept_refs == set.kept_refs);
  CHECK(back.warnings == set.warnings);
  CHECK(back.left_out);
  CHECK(back.repository_broken == "it was");
}

TEST_CASE("git protocol: one odd path quotes all paths of its object") {
  const std::vector<std::string> paths{"plain", "\"already\"", "new\nline", "not \xFF utf8"};
  const json object = to_json(CaptureInfo{"h", "c", paths, 4});
  CHECK(object["quoted"] == true);
  CHECK(through_text(CaptureInfo{"h", "c", paths, 4}).dirty_paths == paths);
  CHECK_FALSE(
      to_json(CaptureInfo{"h", "c", {"plain", "\"marks\"", "\xC3\xA4"}, 3}).contains("quoted"));
  CHECK(through_text(CaptureInfo{"h", "c", {"\"marks\""}, 1}).dirty_paths.at(0) == "\"marks\"");
}

TEST_CASE("git protocol: text that is not UTF-8 does not break the answer") {
  ChangeSet set;
  set.warnings = {"bad \xFF byte"};
  CHECK(through_text(set).warnings.at(0) == "bad \xEF\xBF\xBD byte");
}

TEST_CASE("git protocol: a missing or mistyped field is named") {
  const auto error_of = [](const json& object) {
    const auto parsed = from_json<DiffRequest>(object);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().code == ErrorCode::invalid_input);
    return parsed.error().message;
  };
  const json good = to_json(DiffRequest{"/r", "a", "b", 1, true});
  REQUIRE(from_json<DiffRequest>(good).has_value());
  json object = good;
  object.erase("new_commit");
  CHECK(error_of(object) == "git worker: the field 'new_commit' is missing");
  object = good;
  object["max_bytes"] = -1;
  CHECK(error_of(object) ==
        "git worker: the field 'max_bytes' must be a whole number, not negative");
  object["max_bytes"] = 1.5;
  CHECK(error_of(object).find("'max_bytes'") != std::string::npos);
  object = good;
  object["text"] = "yes";
  CHECK(error_of(object) == "git worker: the field 'text' must be a boolean");
  object = good;
  object["quoted"] = true;
  object["repository"] = "\"cut";
  CHECK(error_of(object) == "git worker: the field 'repository' must be a C-quoted path");
  CHECK(error_of(json::array()) == "git worker: an object was expected");
  CHECK_FALSE(from_json<ChangeSet>(json{{"changes", 3}}).has_value());
  const json odd_status{{"path", "p"}, {"status", "X"}, {"lfs", false}};
  CHECK_FALSE(from_json<DiffInfo>(json{{"bytes", 0}, {"changes", {odd_status}}}).has_value());
}

}  // namespace
}  // namespace flow_runner
