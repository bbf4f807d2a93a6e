#include "executor/git_worker.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "executor/git_protocol.hpp"
#include "tests/executor/git_scratch.hpp"

namespace flow_runner {
namespace {

using test::GitScratch;
using namespace std::chrono_literals;

class TextSink final : public ContentSink {
 public:
  void begin(ContentKind kind, std::string_view, std::string_view path,
             std::uint64_t size) override {
    log +=
        std::string(to_string(kind)) + ' ' + std::string(path) + ' ' + std::to_string(size) + '\n';
  }
  void bytes(std::string_view bytes) override { text += bytes; }

  std::string log;
  std::string text;
};

struct Client {
  asio::io_context loop;
  Cancellation cancellation;
  GitWorkerOptions options;

  Client() {
    options.program = FLOW_RUNNER_GIT;
    options.deadline = 60s;
    options.grace = 100ms;
  }

  Result<nlohmann::json> run(const std::string& verb, const nlohmann::json& request) {
    std::optional<Result<nlohmann::json>> result;
    asio::co_spawn(
        loop,
        [&]() -> asio::awaitable<void> {
          result.emplace(co_await run_git_worker(verb, request, options, cancellation));
        },
        [](const std::exception_ptr& failure) {
          if (failure) std::rethrow_exception(failure);
        });
    loop.restart();
    loop.run();
    REQUIRE(result.has_value());
    return std::move(*result);
  }
  /// A stand-in for the worker.
  void use_script(const GitScratch& scratch, const std::string& body) {
    scratch.write("worker", "#!/bin/sh\n" + body + "\n");
    scratch.sh("chmod +x worker");
    options.program = scratch.path() / "worker";
  }
};

TEST_CASE("git worker: a snapshot, a diff and a capture through the real program") {
  const GitScratch scratch;
  scratch.make_repository("work");
  scratch.write("work/a", "1\n");
  const std::string before = scratch.commit("work", "one");
  scratch.write("work/a", "2\n");
  const std::string after = scratch.commit("work", "two");
  Client client;
  std::string progress;
  client.options.on_progress = [&](std::string_view text, std::uint64_t, std::uint64_t) {
    progress = text;
  };
  const SnapshotRequest request{.mirror = scratch.path() / "work/.git",
                                .commit = after,
                                .directory = scratch.path() / "snap",
                                .base = {}};
  const auto snapshot = client.run("snapshot", to_json(request));
  REQUIRE_MESSAGE(snapshot.has_value(), snapshot.error().message);
  CHECK(from_json<SnapshotInfo>(*snapshot)->files == 1);
  CHECK(progress == "checking out");
  CHECK(scratch.read("snap/tree/a") == "2\n");

  TextSink sink;
  client.options.content = &sink;
  const auto diff = client.run(
      "diff",
      to_json(DiffRequest{
          .repository = scratch.path() / "work/.git", .old_commit = before, .new_commit = after}));
  REQUIRE_MESSAGE(diff.has_value(), diff.error().message);
  CHECK(sink.text.find("-1\n+2\n") != std::string::npos);
  CHECK(from_json<DiffInfo>(*diff)->bytes == sink.text.size());

  const auto replay = client.run(
      "replay", to_json(ReplayRequest{scratch.path() / "work/.git", before, after, before}));
  REQUIRE_MESSAGE(replay.has_value(), replay.error().message);
  CHECK(from_json<ReplayInfo>(*replay)->head == after);

  const auto capture =
      client.run("capture", to_json(CaptureRequest{.mirror = scratch.path() / "work/.git",
                                                   .repository = scratch.path() / "work"}));
  REQUIRE_MESSAGE(capture.has_value(), capture.error().message);
  CHECK(from_json<CaptureInfo>(*capture)->commit == after);

  scratch.sh("git clone -q work local && git -C local checkout -q " + before);
  const auto apply = client.run("apply", to_json(ApplyRequest{scratch.path() / "work/.git", before,
                                                              after, scratch.path() / "local"}));
  REQUIRE_MESSAGE(apply.has_value(), apply.error().message);
  CHECK(scratch.read("local/a") == "2\n");
}

TEST_CASE("git worker: its own errors keep their code and message") {
  const GitScratch scratch;
  scratch.sh("git init -q --bare mirror");
  Client client;
  const auto unknown = client.run("dance", nlohmann::json::object());
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error() == Error{ErrorCode::invalid_input, "git worker: unknown verb dance"});
  const auto missing = client.run("snapshot", nlohmann::json::object());
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message == "git worker: the field 'mirror' is missing");
  const SnapshotRequest request{.mirror = scratch.path() / "mirror",
                                .commit = std::string(40, '1'),
                                .directory = scratch.path() / "snap",
                                .base = {}};
  const auto absent = client.run("snapshot", to_json(request));
  REQUIRE_FALSE(absent.has_value());
  CHECK(absent.error().code == ErrorCode::not_found);
}

TEST_CASE("git worker: the file limit stops it with an error") {
  const GitScratch scratch;
  scratch.make_repository("work");
  scratch.write("work/large", std::string(100'000, 'x'));
  const std::string commit = scratch.commit("work", "one");
  Client client;
  client.options.limits.file_bytes = 50'000;
  const SnapshotRequest request{.mirror = scratch.path() / "work/.git",
                                .commit = commit,
                                .directory = scratch.path() / "snap",
                                .base = {}};
  const auto result = client.run("snapshot", to_json(request));
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().message.find("cannot write large") == 0);
  CHECK(scratch.sh("ls -d snap* 2>/dev/null || true").empty());
}

TEST_CASE("git worker: one that dies is reported with its last words") {
  const GitScratch scratch;
  Client client;
  client.use_script(scratch, "cat > /dev/null; echo 'out of cheese' >&2; exit 7");
  CHECK(client.run("x", nlohmann::json::object()).error() ==
        Error{ErrorCode::internal,
              "the git worker ended without an answer, with code 7: out of cheese"});
  client.use_script(scratch, "kill -SEGV $$");
  CHECK(client.run("x", nlohmann::json::object()).error().message ==
        "the git worker ended without an answer, by signal 11");
  client.options.program = scratch.path() / "not-there";
  CHECK_FALSE(client.run("x", nlohmann::json::object()).has_value());
}

TEST_CASE("git worker: one that breaks the protocol is killed at once") {
  const GitScratch scratch;
  Client client;
  client.use_script(scratch, "trap '' TERM; echo rubbish; while :; do sleep 60; done");
  CHECK(client.run("x", nlohmann::json::object()).error().message ==
        "the git worker broke its protocol: a line that is no JSON object");
  client.options.max_result_bytes = 1000;
  client.use_script(scratch, "exec tr '\\0' 'x' < /dev/zero");
  CHECK(client.run("x", nlohmann::json::object()).error().message ==
        "the git worker broke its protocol: a line of more than 1000 bytes");
}

TEST_CASE("git worker: content comes in order, and the request arrives with verb and limits") {
  const GitScratch scratch;
  Client client;
  TextSink sink;
  client.options.content = &sink;
  client.options.limits.cpu_seconds = 5;
  client.use_script(
      scratch,
      "cat > request; printf "
      "'{\"event\":\"content\",\"kind\":\"path\",\"commit\":\"\",\"path\":\"p\",\"size\":3}\\nabc"
      "{\"event\":\"result\",\"ok\":true}\\n'");
  client.options.program = scratch.path() / "worker";
  scratch.sh("sed -i 's|> request|> " + scratch.path().string() + "/request|' worker");
  const auto result = client.run("greet", {{"name", "x"}});
  REQUIRE_MESSAGE(result.has_value(), result.error().message);
  CHECK((*result)["ok"] == true);
  CHECK(sink.log == "path p 3\n");
  CHECK(sink.text == "abc");
  const auto request = nlohmann::json::parse(scratch.read("request"));
  CHECK(request["verb"] == "greet");
  CHECK(request["name"] == "x");
  CHECK(request["limits"]["cpu_seconds"] == 5);
}

TEST_CASE("git worker: the deadline ends one that ignores TERM") {
  const GitScratch scratch;
  Client client;
  client.options.deadline = 50ms;
  client.use_script(scratch, "trap '' TERM; while :; do sleep 60; done");
  CHECK(client.run("x", nlohmann::json::object()).error() ==
        Error{ErrorCode::timed_out, "git x did not end within 50 ms"});
}

TEST_CASE("git worker: a cancellation ends it, before and during") {
  const GitScratch scratch;
  Client client;
  client.use_script(
      scratch, "echo '{\"event\":\"progress\",\"text\":\"ready\"}'; while :; do sleep 60; done");
  client.options.on_progress = [&](std::string_view, std::uint64_t, std::uint64_t) {
    client.cancellation.request(StopCause::canceled);
  };
  CHECK(client.run("x", nlohmann::json::object()).error() ==
        Error{ErrorCode::cancelled, "git x was cancelled"});
  CHECK(client.run("x", nlohmann::json::object()).error() ==
        Error{ErrorCode::cancelled, "git x was not started"});
}

}  // namespace
}  // namespace flow_runner
