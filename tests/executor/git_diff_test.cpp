#include "executor/git_diff.hpp"

#include <doctest/doctest.h>

#include "executor/git_handles.hpp"
#include "tests/executor/git_scratch.hpp"

namespace flow_runner {
namespace {

using test::GitScratch;

const GitLibrary library;

class PatchSink final : public ContentSink {
 public:
  void begin(ContentKind kind, std::string_view, std::string_view, std::uint64_t size) override {
    CHECK(kind == ContentKind::patch);
    announced += size;
  }
  void bytes(std::string_view bytes) override { text += bytes; }

  std::uint64_t announced = 0;
  std::string text;
};

struct TwoCommits {
  GitScratch scratch;
  std::string before;
  std::string after;

  TwoCommits() {
    scratch.make_repository("work");
    scratch.write("work/text", "1\n2\n3\nno newline at the end");
    scratch.write("work/binary", std::string("a\0b\0c", 5) + std::string(3000, 'x'));
    scratch.write("work/mode", "m\n");
    scratch.write("work/type", "t\n");
    scratch.write("work/gone", "g\n");
    scratch.write("work/odd \xFF\n\"name\"", "o\n");
    scratch.write("work/old/place", "moved unchanged\n");
    before = scratch.commit("work", "before");
    scratch.write("work/text", "1\n2\nthree\nnow with a newline\n");
    scratch.write("work/binary", std::string("a\0b\0d", 5) + std::string(3000, 'y'));
    scratch.write("work/odd \xFF\n\"name\"", "changed\n");
    scratch.write("work/empty", "");
    scratch.sh(
        "chmod +x mode && rm type gone && ln -s text type && mkdir new && git mv old/place "
        "new/place && "
        "head -c 5000 /dev/zero > zeros",
        "work");
    after = scratch.commit("work", "after");
  }
  [[nodiscard]] DiffRequest request() const {
    return {.repository = scratch.path() / "work/.git", .old_commit = before, .new_commit = after};
  }
};

TEST_CASE("diff: git apply makes the new tree of the old one") {
  const TwoCommits two;
  PatchSink sink;
  const auto info = diff_commits(two.request(), sink);
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  CHECK(info->bytes == sink.text.size());
  CHECK(sink.announced == sink.text.size());
  two.scratch.write("patch", sink.text);
  two.scratch.sh(
      "git checkout -q " + two.before + " && git apply --index --binary ../patch && git write-tree",
      "work");
  CHECK(two.scratch.sh("git write-tree", "work") ==
        two.scratch.sh("git rev-parse " + two.after + "^{tree}", "work"));
}

TEST_CASE("diff: the paths are those that git names") {
  const TwoCommits two;
  PatchSink sink;
  DiffRequest request = two.request();
  request.text = false;
  const auto info = diff_commits(request, sink);
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  CHECK(sink.text.empty());
  CHECK(info->bytes == 0);
  std::string names;
  for (const Change& change : info->changes) {
    names += static_cast<char>(change.status);
    names += '\n' + change.path + '\n';
  }
  two.scratch.write("names", names);
  // The names in git's own list end with NUL; one of them holds a newline.
  CHECK(two.scratch
            .sh("git diff --no-renames --name-status -z " + two.before + " " + two.after +
                    " | tr '\\0' '\\n' | cmp - ../names",
                "work")
            .empty());
}

TEST_CASE("diff: a text over its limit is an error that names it") {
  const TwoCommits two;
  PatchSink sink;
  DiffRequest request = two.request();
  request.max_bytes = 500;
  const auto info = diff_commits(request, sink);
  REQUIRE_FALSE(info.has_value());
  CHECK(info.error() == Error{ErrorCode::invalid_input, "the diff is longer than 500 bytes"});
  CHECK(sink.text.size() <= 500);
}

TEST_CASE("diff: equal commits have none, unknown ones are an error") {
  const TwoCommits two;
  PatchSink sink;
  DiffRequest request = two.request();
  request.new_commit = two.before;
  const auto none = diff_commits(request, sink);
  REQUIRE(none.has_value());
  CHECK(none->bytes == 0);
  CHECK(none->changes.empty());
  request.new_commit = std::string(40, 'b');
  CHECK(diff_commits(request, sink).error().code == ErrorCode::not_found);
  request.new_commit = "HEAD";
  CHECK(diff_commits(request, sink).error().code == ErrorCode::invalid_input);
}

}  // namespace
}  // namespace flow_runner
