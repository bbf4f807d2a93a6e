#include "executor/publication_guard.hpp"

#include <doctest/doctest.h>

#include "executor/push_report.hpp"

using namespace flow_runner;

namespace {

PublishSpec to(std::string ref) {
  PublishSpec spec;
  spec.mode = PublishMode::remote;
  spec.workload_ref = std::move(ref);
  return spec;
}

ErrorCode refusal(const PublishSpec& spec, std::string_view default_branch = "main",
                  const std::vector<std::string>& protected_branches = {}) {
  const auto target = allowed_target(spec, default_branch, protected_branches);
  REQUIRE(target.has_error());
  CHECK(target.error().message.size() > 20);
  return target.error().code;
}

}  // namespace

TEST_CASE("publication guard: the default patterns allow workload, duo and feature refs") {
  CHECK(allowed_target(to("workloads/abc"), "main").value() == "refs/heads/workloads/abc");
  CHECK(allowed_target(to("refs/heads/workloads/abc"), "main").value() ==
        "refs/heads/workloads/abc");
  CHECK(allowed_target(to("refs/workloads/abc"), "main").value() == "refs/workloads/abc");
  CHECK(allowed_target(to("duo/fix/a-b"), "main").value() == "refs/heads/duo/fix/a-b");
  CHECK(allowed_target(to("feature/x"), "").value() == "refs/heads/feature/x");
}

TEST_CASE("publication guard: whatever no pattern allows is denied before the job starts") {
  for (const char* ref :
       {"main", "refs/heads/main", "refs/tags/v1", "refs/merge-requests/1/head",
        "refs/keep-around/x", "release/1", "refs/heads/refs/heads/main", "xworkloads/a"}) {
    CAPTURE(ref);
    CHECK(refusal(to(ref)) == ErrorCode::denied);
  }
}

TEST_CASE("publication guard: a name that is none is invalid input") {
  for (const char* ref :
       {"", "workloads/..", "workloads/a b", "workloads/a..b", "workloads/a.lock", "HEAD",
        "-workloads", "workloads/a\n", "workloads/*", "workloads//a", "workloads/", "refs/"}) {
    CAPTURE(ref);
    CHECK(refusal(to(ref)) == ErrorCode::invalid_input);
  }
}

TEST_CASE("publication guard: no pattern allows the default or a protected branch") {
  auto spec = to("main");
  spec.allow_refs = {"*", "refs/*"};
  CHECK(refusal(spec) == ErrorCode::denied);
  CHECK(refusal(spec, "refs/heads/main") == ErrorCode::denied);
  CHECK(allowed_target(spec, "develop").value() == "refs/heads/main");
  CHECK(refusal(spec, "develop", {"ma*"}) == ErrorCode::denied);
  CHECK(refusal(spec, "") == ErrorCode::denied);
  spec.workload_ref = "refs/heads/workloads/main";
  CHECK(refusal(spec, "workloads/main") == ErrorCode::denied);
  spec.workload_ref = "workloads/stable";
  CHECK(refusal(spec, "main", {"workloads/*"}) == ErrorCode::denied);
}

TEST_CASE("publication guard: no allowed refs means nothing is published") {
  auto spec = to("workloads/a");
  spec.allow_refs.clear();
  CHECK(refusal(spec) == ErrorCode::denied);
}

TEST_CASE("publication guard: protected paths are found wherever they lie, once each") {
  const auto patterns = PublishSpec().protected_paths;
  const auto found =
      check_paths({"src/a.c", ".gitlab-ci.yml", "docs/CODEOWNERS", ".gitlab/duo/x.yml",
                   "CODEOWNERS", ".gitlab-ci.yml", ".gitmodules", "x/.gitmodules", ".gitlab"},
                  patterns);
  REQUIRE(found.size() == 6);
  CHECK(found[0] == ProtectedPath{".gitlab-ci.yml", ".gitlab-ci.yml"});
  CHECK(found[1] == ProtectedPath{"docs/CODEOWNERS", "**/CODEOWNERS"});
  CHECK(found[2] == ProtectedPath{".gitlab/duo/x.yml", ".gitlab/**"});
  CHECK(found[5].path == ".gitlab");
  CHECK(check_paths({"a", "b"}, patterns).empty());
  CHECK(check_paths({".gitlab-ci.yml"}, {}).empty());
}

TEST_CASE("publication guard: the report names five paths, quoted, and counts the rest") {
  std::vector<std::string> paths = {".gitlab/a\nb"};
  for (int i = 0; i < 6; ++i) paths.push_back(".gitlab/" + std::to_string(i));
  const auto text = describe(check_paths(paths, {".gitlab/**"}));
  CHECK(text.find("\".gitlab/a\\nb\"") != std::string::npos);
  CHECK(text.find('\n') == std::string::npos);
  CHECK(text.find(".gitlab/3") != std::string::npos);
  CHECK(text.find(".gitlab/4") == std::string::npos);
  CHECK(text.find("and 2 more") != std::string::npos);
  CHECK(describe({}).empty());
}

TEST_CASE("push report: git's porcelain lines are read for the one ref") {
  const auto answer = [](int code, std::string_view out, std::string_view err = "") {
    return read_push("refs/heads/w", code, out, err).answer;
  };
  CHECK(answer(0, "To https://h/p\n*\tabc:refs/heads/w\t[new branch]\nDone\n") ==
        PushAnswer::accepted);
  CHECK(answer(0, "To https://h/p\n \tabc:refs/heads/w\ta..b\nDone\n") == PushAnswer::accepted);
  CHECK(answer(1, "To https://h/p\n*\tabc:refs/heads/w\t[new branch]\n") == PushAnswer::failed);
  CHECK(answer(0, "To https://h/p\n*\tabc:refs/heads/ww\t[new branch]\nDone\n") ==
        PushAnswer::failed);
  CHECK(answer(1, "!\tabc:refs/heads/w\t[rejected] (stale info)\nDone\n") == PushAnswer::moved);
  CHECK(
      answer(1,
             "!\tabc:refs/heads/w\t[remote rejected] (cannot lock ref 'refs/heads/w': is at)\n") ==
      PushAnswer::moved);
  CHECK(answer(1, "!\tabc:refs/heads/w\t[remote rejected] (pre-receive hook declined)\n") ==
        PushAnswer::refused);
  CHECK(read_push("refs/heads/w", 1,
                  "!\tabc:refs/heads/w\t[remote rejected] (protected branch hook declined)\n", "")
            .reason.find("protected branch") != std::string::npos);
  CHECK(answer(128, "", "fatal: the receiving end does not support push options\n") ==
        PushAnswer::no_push_options);
  CHECK(answer(128, "", "fatal: unable to access") == PushAnswer::failed);
}
