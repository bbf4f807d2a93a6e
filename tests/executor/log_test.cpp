#include "executor/log.hpp"

#include <cstdio>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdlib.h>
#include <string>
#include <sys/mount.h>
#include <vector>

#include "tests/executor/masker_reference.hpp"

using namespace flow_runner;
using namespace flow_runner::test;

namespace {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "flow-runner-log-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string content(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct Fixture {
  TemporaryFolder folder;
  std::filesystem::path file = folder.path() / "log";

  JobLog open(std::uint64_t max_bytes = 1U << 20, const std::string& secret = "s3cret-value") {
    auto log = JobLog::open(file, MaskerPatterns::compile({marked(secret)}), max_bytes);
    REQUIRE(log.has_value());
    return std::move(*log);
  }
};

std::string numbered_lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "job log: a secret split over outputs, lines and the end is masked") {
  JobLog log = open();
  log.script_output("before s3cre");
  log.line("a line with s3cret-value");
  log.script_output("t-val");
  log.line("another line");
  log.script_output("ue after\ns3cret-va");
  CHECK(content(file) == "before \na line with [MASKED]\nanother line\n[MASKED] after\n");
  log.script_output("lue");
  log.close();
  CHECK(content(file) == "before \na line with [MASKED]\nanother line\n[MASKED] after\n[MASKED]");
}

TEST_CASE_FIXTURE(Fixture, "job log: what looked like a secret is written when it breaks off") {
  {
    JobLog log = open();
    log.script_output("s3cret-");
    CHECK(log.bytes() == 0);
  }
  CHECK(content(file) == "s3cret-");
}

TEST_CASE_FIXTURE(Fixture, "job log: our lines begin on a line of their own") {
  JobLog log = open();
  log.line("first");
  log.script_output("no newline");
  log.line("second");
  log.script_output("newline\n");
  log.line("third");
  log.close();
  CHECK(content(file) == "first\nno newline\nsecond\nnewline\nthird\n");
  CHECK(log.bytes() == content(file).size());
  CHECK_FALSE(log.truncated());
  CHECK(log.error() == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "job log: a file that exists is continued on a new line") {
  std::ofstream(file) << "old";
  JobLog log = open();
  CHECK(log.bytes() == 3);
  log.line("new");
  log.close();
  CHECK(content(file) == "old\nnew\n");
}

TEST_CASE_FIXTURE(Fixture, "job log: output of exactly the limit is not cut") {
  JobLog log = open(10);
  log.script_output("0123456789");
  log.close();
  CHECK(content(file) == "0123456789");
  CHECK_FALSE(log.truncated());
}

TEST_CASE_FIXTURE(Fixture, "job log: beyond the limit the output is cut, its end kept and masked") {
  const std::string output = numbered_lines(100'000);
  JobLog log = open(1000);
  for (std::size_t at = 0; at < output.size(); at += 777)
    log.script_output(std::string_view(output).substr(at, 777));
  log.line("ours in between");
  log.script_output("the end: s3cret-va");
  log.script_output("lue");
  log.end_script();
  log.line("ours at last");
  log.close();

  const std::string text = content(file);
  CHECK(log.truncated());
  CHECK(log.bytes() == text.size());
  CHECK(text.starts_with(output.substr(0, 1000)));
  CHECK(text.size() < 1000 + JobLog::kept_tail_bytes + 1000);
  CHECK(text.find("has reached its limit of 1000 bytes") != std::string::npos);
  CHECK(text.find("raise log.local_limit") != std::string::npos);
  CHECK(text.find("ours in between\n") < text.find("bytes of output are missing here"));
  CHECK(text.ends_with("line 99998\nline 99999\nthe end: [MASKED]\nours at last\n"));
  CHECK(text.find("s3cret") == std::string::npos);

  // Head, tail and what is said to be missing make up the whole.
  const std::size_t marker = text.find("flow-runner: ", text.find("ours in between"));
  unsigned long missing = 0;
  unsigned long kept = 0;
  REQUIRE(std::sscanf(text.c_str() + marker,
                      "flow-runner: %lu bytes of output are missing here; the last %lu follow",
                      &missing, &kept) == 2);
  CHECK(1000 + missing + kept == output.size() + std::string("the end: [MASKED]").size());
  const std::string tail = text.substr(text.find('\n', marker) + 1, kept);
  CHECK(tail.starts_with("line "));
  CHECK(kept > JobLog::kept_tail_bytes - 20);
  CHECK(tail.ends_with("the end: [MASKED]"));
}

TEST_CASE_FIXTURE(Fixture, "job log: the cut does not tear a character") {
  JobLog log = open(4);
  log.script_output("abc\xe2\x82\xac");
  log.close();
  CHECK(content(file).starts_with("abc\n"));
  CHECK(content(file).ends_with("follow\n\xe2\x82\xac"));
}

TEST_CASE_FIXTURE(Fixture, "job log: our own lines end at their reserve") {
  JobLog log = open(100);
  const std::string line(1000, 'x');
  for (int i = 0; i < 1000; ++i) log.line(line);
  log.close();
  CHECK(log.truncated());
  CHECK(content(file).size() == 100 + JobLog::line_reserve_bytes);
}

TEST_CASE_FIXTURE(Fixture, "job log: secrets of one byte do not make memory or file grow beyond") {
  JobLog log = open(1000, "a");
  for (int i = 0; i < 20; ++i) {
    std::string output;
    for (int j = 0; j < 50'000; ++j) output += "ab";
    log.script_output(output);
  }
  log.close();
  CHECK(content(file).size() < 1000 + JobLog::kept_tail_bytes + 1000);
}

TEST_CASE_FIXTURE(Fixture,
                  "job log: after close() nothing is written, and close() may come twice") {
  JobLog log = open();
  log.script_output("text");
  log.close();
  log.script_output("more");
  log.line("more");
  log.close();
  JobLog moved = std::move(log);
  CHECK(content(file) == "text");
  CHECK(moved.bytes() == 4);
}

TEST_CASE_FIXTURE(Fixture, "job log: a file that cannot be made is an error that names it") {
  const auto log = JobLog::open(folder.path() / "none" / "log", MaskerPatterns::compile({}), 10);
  REQUIRE(log.has_error());
  CHECK(log.error().code == ErrorCode::not_found);
  CHECK(log.error().message.find("none/log") != std::string::npos);
}

TEST_CASE("job log: a full disk is the first error, and writing goes on being tried") {
  auto log = JobLog::open("/dev/full", MaskerPatterns::compile({}), 1000);
  REQUIRE(log.has_value());
  CHECK(log->error() == nullptr);
  log->script_output("text");
  REQUIRE(log->error() != nullptr);
  CHECK(log->error()->message.find("/dev/full: No space left") != std::string::npos);
  log->line("more");
  log->close();
  CHECK(log->bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "job log: when the disk has room again, the log goes on") {
  const auto disk = folder.path() / "disk";
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") != 0) {
    MESSAGE("SKIPPED: no tmpfs can be mounted here (needs CAP_SYS_ADMIN)");
    return;
  }
  struct Unmount {
    std::filesystem::path path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{disk};
  std::ofstream(disk / "other") << std::string(32 * 1024, 'x');
  auto log = JobLog::open(disk / "log", MaskerPatterns::compile({}), 1U << 20);
  REQUIRE(log.has_value());
  log->script_output(std::string(100'000, 'y'));
  REQUIRE(log->error() != nullptr);
  CHECK(log->bytes() == content(disk / "log").size());
  CHECK(log->bytes() > 0);
  std::filesystem::remove(disk / "other");
  log->line("the end");
  log->close();
  CHECK(content(disk / "log").ends_with("y\nthe end\n"));
  CHECK(log->error() != nullptr);
}
