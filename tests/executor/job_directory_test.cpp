#include "executor/job_directory.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/timestamp.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
namespace fs = std::filesystem;

namespace {

Job small_job(std::string id) {
  Job job;
  job.id = std::move(id);
  job.source = "exec";
  job.flow.image.name = "debian:12";
  job.flow.commands = {"true"};
  job.repository.token = Secret("glpat-a-token-of-the-test");
  job.variables.push_back({.name = "MY_KEY",
                           .value = Secret("a-secret-of-the-test"),
                           .masked = true,
                           .origin = "test"});
  return job;
}

JournalEntry entry(std::string state) {
  return {std::move(state), *parse_timestamp("2026-11-22T14:30:12.345Z"), {{"n", 1}}};
}

unsigned mode_of(const fs::path& path) {
  struct stat facts {};
  REQUIRE(::lstat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777;
}

}  // namespace

TEST_CASE("state directory: is made with its folders, for its owner only") {
  const fixtures::TemporaryDirectory folder;
  const auto state = StateDirectory::open(folder / "a/b/state");
  REQUIRE(state.has_value());
  for (const fs::path& path :
       {state->root, state->jobs(), state->repositories(), state->images()}) {
    CHECK(fs::is_directory(path));
    CHECK(mode_of(path) == 0700);
  }
  CHECK(StateDirectory::open(folder / "a/b/state").has_value());
}

TEST_CASE("state directory: a relative path, a file and a folder open to all are refused") {
  const fixtures::TemporaryDirectory folder;
  CHECK(StateDirectory::open("state").error().code == ErrorCode::invalid_input);
  fixtures::write_file(folder / "file", "x");
  CHECK_FALSE(StateDirectory::open(folder / "file").has_value());
  fs::create_directory(folder / "open");
  REQUIRE(::chmod((folder / "open").c_str(), 0777) == 0);
  const auto refused = StateDirectory::open(folder / "open");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::denied);
  CHECK(refused.error().message.find("--state-dir") != std::string::npos);
}

TEST_CASE("job directory: is created locked, with the job but without its secrets") {
  const fixtures::TemporaryDirectory folder;
  const auto state = StateDirectory::open(folder / "state");
  REQUIRE(state.has_value());
  auto created = JobDirectory::create(*state, small_job("20261122-143012-3f9a01"));
  REQUIRE(created.has_value());
  auto& [directory, lock] = *created;
  CHECK(directory.id() == "20261122-143012-3f9a01");
  CHECK(mode_of(directory.path()) == 0700);
  CHECK(mode_of(directory.job_file()) == 0600);
  const std::string text = fixtures::slurp(directory.job_file());
  CHECK(text.find("a-token-of") == std::string::npos);
  CHECK(text.find("a-secret-of") == std::string::npos);
  const auto job = directory.read_job();
  REQUIRE(job.has_value());
  CHECK(job->flow.image.name == "debian:12");

  const auto second = directory.try_lock();
  REQUIRE(second.has_value());
  CHECK_FALSE(second->has_value());
  lock.close();
  const auto third = directory.try_lock();
  REQUIRE(third.has_value());
  CHECK(third->has_value());

  const auto again = JobDirectory::create(*state, small_job("20261122-143012-3f9a01"));
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().code == ErrorCode::internal);
  for (const auto& left : fs::directory_iterator(state->jobs()))
    CHECK(left.path() == directory.path());
}

TEST_CASE("job directory: an id that is no plain name is refused") {
  const fixtures::TemporaryDirectory folder;
  const auto state = StateDirectory::open(folder / "state");
  REQUIRE(state.has_value());
  for (const std::string& id : {std::string(), std::string("../x"), std::string("A"),
                                std::string("a/b"), std::string(65, 'a'), std::string("a.b")}) {
    CAPTURE(id);
    CHECK(JobDirectory::create(*state, small_job(id)).error().code == ErrorCode::invalid_input);
  }
}

TEST_CASE("journal: entries come back in order, and half a line of a crash harms no other") {
  const fixtures::TemporaryDirectory folder;
  const JobDirectory job(folder.path());
  REQUIRE(job.read_journal().has_value());
  CHECK(job.read_journal()->empty());
  REQUIRE(job.append_journal(entry("accepted")).has_value());
  REQUIRE(job.append_journal(entry("image")).has_value());
  {
    const auto journal = open_file(job.journal_file(), O_WRONLY | O_APPEND);
    REQUIRE(journal.has_value());
    REQUIRE(write_all(journal->get(), R"({"version":1,"state":"scri)").has_value());
  }
  CHECK(job.read_journal()->size() == 2);
  REQUIRE(job.append_journal(entry("finished")).has_value());
  const auto entries = job.read_journal();
  REQUIRE(entries.has_value());
  REQUIRE(entries->size() == 3);
  CHECK((*entries)[2].state == "finished");
  CHECK((*entries)[2].at == entry("x").at);
  CHECK((*entries)[2].data == nlohmann::json{{"n", 1}});
}

TEST_CASE("journal: a line that is no entry is none") {
  for (const char* line : {"", "x", "[]", "{}", R"({"state":1,"at":"2026-11-22T14:30:12Z"})",
                           R"({"state":"image"})", R"({"state":"image","at":"now"})"}) {
    CAPTURE(line);
    CHECK_FALSE(parse_journal_line(line).has_value());
  }
  CHECK(parse_journal_line(R"({"state":"image","at":"2026-11-22T14:30:12Z"})").has_value());
}

TEST_CASE("job directory: a result is absent, then read back, and damage is told") {
  const fixtures::TemporaryDirectory folder;
  const JobDirectory job(folder.path());
  REQUIRE(job.read_result().has_value());
  CHECK_FALSE(job.read_result()->has_value());
  JobResult result;
  result.id = "a";
  result.status = JobStatus::success;
  result.cause = JobCause::none;
  REQUIRE(job.write_result(result).has_value());
  CHECK(mode_of(job.result_file()) == 0600);
  REQUIRE(job.read_result().has_value());
  CHECK((*job.read_result())->status == JobStatus::success);
  fixtures::write_file(job.result_file(), "{");
  const auto damaged = job.read_result();
  REQUIRE_FALSE(damaged.has_value());
  CHECK(damaged.error().message.find("result.json") != std::string::npos);
}

TEST_CASE("job list: newest first, and only what is a job") {
  const fixtures::TemporaryDirectory folder;
  const auto state = StateDirectory::open(folder / "state");
  REQUIRE(state.has_value());
  const auto old_job = JobDirectory::create(*state, small_job("z-old"));
  const auto new_job = JobDirectory::create(*state, small_job("a-new"));
  REQUIRE((old_job.has_value() && new_job.has_value()));
  const auto now = fs::file_time_type::clock::now();
  fs::last_write_time(old_job->first.job_file(), now - std::chrono::hours(1));
  fs::last_write_time(new_job->first.job_file(), now);
  fs::create_directory(state->jobs() / ".new-half");
  const auto jobs = list_jobs(*state);
  REQUIRE(jobs.has_value());
  REQUIRE(jobs->size() == 2);
  CHECK((*jobs)[0].id() == "a-new");
  CHECK((*jobs)[1].id() == "z-old");
  CHECK(list_jobs({folder / "nowhere"})->empty());
}
