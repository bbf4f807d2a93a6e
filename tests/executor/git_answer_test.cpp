#include "executor/git_answer.hpp"

#include <doctest/doctest.h>
#include <vector>

namespace flow_runner {
namespace {

struct Piece {
  ContentKind kind;
  std::string commit;
  std::string path;
  std::uint64_t size;
  std::string bytes;
};

class Collector final : public ContentSink {
 public:
  void begin(ContentKind kind, std::string_view commit, std::string_view path,
             std::uint64_t size) override {
    pieces.push_back({kind, std::string(commit), std::string(path), size, {}});
  }
  void bytes(std::string_view bytes) override { pieces.back().bytes += bytes; }

  std::vector<Piece> pieces;
};

const std::string answer_text =
    "{\"event\":\"progress\",\"text\":\"half\",\"done\":1,\"total\":2}\n"
    "{\"event\":\"content\",\"kind\":\"blob\",\"commit\":\"c1\",\"path\":\"a\",\"size\":9}\n{"
    "\"event\"\n"
    "{\"event\":\"content\",\"kind\":\"message\",\"commit\":\"c2\",\"path\":\"\",\"size\":0}\n"
    "{\"event\":\"content\",\"kind\":\"path\",\"commit\":\"c2\",\"path\":\"\\\"\\\\377\\\"\","
    "\"quoted\":true,\"size\":1}\n\xFF"
    "{\"event\":\"result\",\"value\":7}\n";

TEST_CASE("git answer: the split of the bytes makes no difference") {
  for (std::size_t step = 1; step < answer_text.size() + 1; ++step) {
    Collector sink;
    std::vector<std::string> progress;
    GitAnswer answer(
        1000,
        [&](std::string_view text, std::uint64_t done, std::uint64_t total) {
          progress.push_back(std::string(text) + std::to_string(done) + '/' +
                             std::to_string(total));
        },
        &sink);
    for (std::size_t at = 0; at < answer_text.size(); at += step)
      answer.write(std::string_view(answer_text).substr(at, step));
    const auto result = answer.finish();
    REQUIRE_MESSAGE(result.has_value(), result.error().message);
    CHECK((*result)["value"] == 7);
    CHECK(progress == std::vector<std::string>{"half1/2"});
    REQUIRE(sink.pieces.size() == 3);
    CHECK(sink.pieces[0].kind == ContentKind::blob);
    CHECK(sink.pieces[0].commit == "c1");
    CHECK(sink.pieces[0].path == "a");
    CHECK(sink.pieces[0].bytes == "{\"event\"\n");
    CHECK(sink.pieces[1].kind == ContentKind::message);
    CHECK(sink.pieces[1].bytes.empty());
    CHECK(sink.pieces[2].path == "\xFF");
    CHECK(sink.pieces[2].bytes == "\xFF");
  }
}

Error error_of(std::string_view text, std::size_t max_line = 1000) {
  GitAnswer answer(max_line, {}, nullptr);
  answer.write(text);
  auto result = answer.finish();
  REQUIRE_FALSE(result.has_value());
  return result.error();
}

TEST_CASE("git answer: the worker's own error comes back as it is") {
  const Error error = error_of(
      "{\"event\":\"error\",\"code\":\"invalid input\",\"message\":\"no such thing\"}\nrubbish\n");
  CHECK(error == Error{ErrorCode::invalid_input, "no such thing"});
  CHECK(error_of("{\"event\":\"error\",\"code\":\"root\"}\n").code == ErrorCode::internal);
  CHECK(error_of("{\"event\":\"error\",\"message\":\"" + std::string(9000, 'x') + "\"}\n", 20000)
            .message.size() == 4096);
}

TEST_CASE("git answer: whatever is no answer is a fault") {
  for (const char* text :
       {"", "{\"event\":\"result\"}", "rubbish\n", "[]\n", "{\"event\":\"dance\"}\n",
        "{\"event\":7}\n", "{\"event\":\"content\",\"kind\":\"blob\",\"size\":5}\nabc",
        "{\"event\":\"content\",\"kind\":\"cake\",\"size\":5}\n",
        "{\"event\":\"content\",\"kind\":\"blob\",\"size\":-5}\n",
        "{\"event\":\"content\",\"kind\":\"blob\"}\n",
        "{\"event\":\"content\",\"kind\":\"blob\",\"size\":1,\"path\":\"\\\"cut\",\"quoted\":true}"
        "\n"}) {
    INFO(text);
    CHECK(error_of(text).code == ErrorCode::internal);
  }
}

TEST_CASE("git answer: a line has a maximum, content has none") {
  const std::string line = "{\"event\":\"result\"}";
  CHECK(error_of(std::string(1001, ' ')).message.find("1000 bytes") != std::string::npos);
  GitAnswer answer(line.size(), {}, nullptr);
  answer.write(line + "\n");
  CHECK(answer.ended());
  CHECK(answer.finish().has_value());
}

}  // namespace
}  // namespace flow_runner
