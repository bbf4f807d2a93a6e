#include <doctest/doctest.h>
#include <fcntl.h>
#include <functional>
#include <string>
#include <vector>

#include "executor/changes.hpp"
#include "executor/content_scan.hpp"
#include "executor/git_output.hpp"
#include "executor/log.hpp"
#include "executor/masked_output.hpp"
#include "executor/network_log.hpp"
#include "executor/patch_writer.hpp"
#include "tests/executor/masker_reference.hpp"
#include "tests/executor/secret_spellings.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace flow_runner::fixtures;
using namespace flow_runner::test;

namespace {

using Patterns = std::shared_ptr<const MaskerPatterns>;

// What leaves the executor by one way when it is given a text.
struct Sink {
  std::string name;
  std::function<std::string(const Patterns&, const std::string&)> pass;
};

std::string through_log(const Patterns& patterns, const std::function<void(JobLog&)>& use) {
  TemporaryDirectory folder;
  auto log = JobLog::open(folder / "log", patterns, 1U << 20);
  REQUIRE(log.has_value());
  use(*log);
  log->close();
  return slurp(folder / "log");
}

std::string script_output(const Patterns& patterns, const std::string& text) {
  return through_log(patterns, [&](JobLog& log) {
    for (std::size_t at = 0; at < text.size(); at += 5)
      log.script_output(std::string_view(text).substr(at, 5));
  });
}

std::string own_line(const Patterns& patterns, const std::string& text) {
  return through_log(patterns, [&](JobLog& log) { log.line("ERROR: " + text); });
}

std::string network(const Patterns& patterns, const std::string& text) {
  TemporaryDirectory folder;
  std::string said;
  auto log = NetworkLog::open(folder / "network.jsonl", patterns,
                              [&](const std::string& line) { said += line + "\n"; }, {});
  REQUIRE(log.has_value());
  NetworkEvent event;
  event.method = event.host = event.address = event.reason = event.cure = text;
  log->add(event);
  for (const std::string& line : log->summary()) said += line + "\n";
  return said + slurp(folder / "network.jsonl");
}

std::string patch(const Patterns& patterns, const std::string& text) {
  TemporaryDirectory folder;
  const auto file = open_file(folder / "patch", O_WRONLY | O_CREAT, 0600);
  REQUIRE(file.has_value());
  PatchWriter writer(file->get(), patterns);
  for (std::size_t at = 0; at < text.size(); at += 3)
    writer.bytes(std::string_view(text).substr(at, 3));
  REQUIRE(writer.finish().has_value());
  return slurp(folder / "patch");
}

std::string message(const Patterns& patterns, const std::string& text) {
  Job job;
  job.publish.message = "Changes: " + text;
  return commit_message(job, *patterns);
}

std::string git_error(const Patterns& patterns, const std::string& text) {
  return git_failure("git push", 1, "fatal: remote says " + text,
                     [&](std::string_view said) { return mask_text(*patterns, said); })
      .message;
}

std::string git_progress(const Patterns& patterns, const std::string& text) {
  std::string out;
  ProgressLines lines([&](std::string_view said) { return mask_text(*patterns, said); },
                      [&](std::string_view line) { out += std::string(line) + "\n"; });
  lines.write("remote: " + text + "\n");
  return out;
}

std::string result(const Patterns& patterns, const std::string& text) {
  JobResult made;
  made.message = made.project = made.job_url = made.flow_path = made.image_name = made.pushed_ref =
      text;
  made.warnings = {text};
  made.changes.emplace_back().path = text;
  mask_result(made, *patterns);
  return to_json(made).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string journal(const Patterns& patterns, const std::string& text) {
  nlohmann::json data = {{"refusal", text}, {"more", {{"list", {1, text}}}}};
  mask_strings(data, *patterns);
  return data.dump() + data["refusal"].get<std::string>();
}

std::string refusal(const Patterns& patterns, const std::string& text) {
  ContentScan scan(patterns);
  scan.begin(ContentKind::blob, "feedbeefcafe", "folder/" + text, text.size());
  scan.bytes(text);
  scan.finish();
  REQUIRE_FALSE(scan.leaks().empty());
  return describe(scan.leaks());
}

const std::vector<Sink> sinks = {
    {"script output", script_output},
    {"our own log lines", own_line},
    {"network log", network},
    {"patch", patch},
    {"commit message", message},
    {"error of git", git_error},
    {"progress of git", git_progress},
    {"result", result},
    {"journal", journal},
    {"refusal of a push", refusal},
};

}  // namespace

TEST_CASE("sinks: no way out of the executor shows a secret in any form") {
  for (const std::string& value : telling_values()) {
    const auto patterns = MaskerPatterns::compile({marked(value, "TOKEN")});
    for (const Spelling& spelling : all_spellings(value)) {
      CAPTURE(spelling.name);
      CAPTURE(spelling.whole());
      for (const Sink& sink : sinks) {
        CAPTURE(sink.name);
        // git's progress is shown line by line, and masked so.
        const bool by_line = sink.name == "progress of git";
        if (by_line && spelling.text.find_first_of("\r\n") != std::string::npos) continue;
        const std::string out = sink.pass(patterns, spelling.whole());
        CHECK(leaked_piece(spelling, out) == "");
        if (sink.name != "refusal of a push") CHECK(out.find("[MASKED]") != std::string::npos);
      }
    }
  }
}

TEST_CASE("sinks: without the masker each way out would show the secret") {
  const std::string value = telling_values().front();
  const Spelling plain = quoted_spellings(value).front();
  const auto patterns = MaskerPatterns::compile({});
  for (const Sink& sink : sinks) {
    if (sink.name == "refusal of a push") continue;
    CAPTURE(sink.name);
    CHECK(leaked_piece(plain, sink.pass(patterns, plain.whole())) != "");
  }
}

TEST_CASE("sinks: the network log masks before it cuts") {
  const std::string value = telling_values().front();
  const auto patterns = MaskerPatterns::compile({marked(value)});
  for (std::size_t before = 500; before < 512; ++before) {
    const std::string out = network(patterns, std::string(before, '.') + value);
    CHECK(out.find(value.substr(0, 4)) == std::string::npos);
  }
}

TEST_CASE("sinks: a result keeps what we name ourselves") {
  JobResult made;
  made.id = "job-1";
  made.message = "script_failure of main";
  made.network = "proxy";
  mask_result(made, *MaskerPatterns::compile({marked("proxy"), marked("job-1"), marked("main")}));
  CHECK(made.id == "job-1");
  CHECK(made.network == "proxy");
  CHECK(made.message == "script_failure of [MASKED]");
}
