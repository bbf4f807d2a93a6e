#include "executor/job_follower.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <optional>
#include <sys/file.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
namespace asio = boost::asio;

namespace {

// A job that a test writes, and a follower on the test's own loop.
class FollowedJob {
 public:
  FollowedJob() : state_(*StateDirectory::open(folder_ / "state")) {
    Job job;
    job.id = "a-job";
    job.flow.commands = {"true"};
    auto created = JobDirectory::create(state_, job);
    REQUIRE(created.has_value());
    directory_.emplace(created->first);
    lock_ = std::move(created->second);
  }

  void start(FollowOffsets from = {}) {
    outcome_.reset();
    asio::co_spawn(
        loop_,
        follow_job(*directory_, from,
                   {.on_log = [this](std::string_view bytes) { log += bytes; },
                    .on_journal = [this](const JournalEntry& e) { states.push_back(e.state); }}),
        asio::bind_cancellation_slot(signal_.slot(),
                                     [this](std::exception_ptr, Result<FollowOffsets> result) {
                                       outcome_.emplace(std::move(result));
                                     }));
    run_ready();
  }

  // Runs what can run now; a follower that waits is left waiting.
  void run_ready() {
    loop_.restart();
    loop_.poll();
  }

  // Until `done`, at most ten seconds.
  template <class Done>
  bool run_until(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      loop_.restart();
      loop_.run_one_until(deadline);
    }
    return done();
  }

  bool run_to_end() {
    return run_until([&] { return outcome_.has_value(); });
  }

  void write_log(std::string_view bytes) { append(directory_->log_file(), bytes); }
  void append(const std::filesystem::path& path, std::string_view bytes) {
    const auto file = open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    REQUIRE(file.has_value());
    REQUIRE(write_all(file->get(), bytes).has_value());
  }
  void write_state(const std::string& state) {
    REQUIRE(directory_->append_journal({state, std::chrono::system_clock::now()}).has_value());
  }
  void release() { lock_.close(); }
  void unlock_silently() { REQUIRE(::flock(lock_.get(), LOCK_UN) == 0); }
  void cancel() { signal_.emit(asio::cancellation_type::terminal); }
  [[nodiscard]] const JobDirectory& directory() const { return *directory_; }
  [[nodiscard]] bool ended() const { return outcome_.has_value(); }
  [[nodiscard]] const Result<FollowOffsets>& outcome() const { return *outcome_; }

  std::string log;
  std::vector<std::string> states;

 private:
  fixtures::TemporaryDirectory folder_;
  StateDirectory state_;
  std::optional<JobDirectory> directory_;
  Descriptor lock_;
  asio::cancellation_signal signal_;
  std::optional<Result<FollowOffsets>> outcome_;
  asio::io_context loop_;
};

}  // namespace

TEST_CASE("follower: tells what was there, what comes, and ends when the lock is released") {
  FollowedJob job;
  job.write_log("first ");
  job.write_state("accepted");
  job.start();
  CHECK(job.log == "first ");
  CHECK(job.states == std::vector<std::string>{"accepted"});
  CHECK_FALSE(job.ended());

  job.write_log("second");
  CHECK(job.run_until([&] { return job.log == "first second"; }));
  job.write_state("image");
  CHECK(job.run_until([&] { return job.states.size() == 2; }));
  CHECK_FALSE(job.ended());

  job.write_log(" last");
  job.release();
  REQUIRE(job.run_to_end());
  REQUIRE(job.outcome().has_value());
  CHECK(job.log == "first second last");
  CHECK(job.outcome()->log == job.log.size());
  CHECK(job.outcome()->journal == std::filesystem::file_size(job.directory().journal_file()));
}

TEST_CASE("follower: a lock that falls a moment after its file was closed is noticed") {
  FollowedJob job;
  job.start();
  // The kernel's order at the holder's end: it tells of the close, then gives up the lock in
  // silence.
  job.append(job.directory().lock_file(), "");
  job.run_ready();
  CHECK_FALSE(job.ended());
  job.unlock_silently();
  CHECK(job.run_to_end());
}

TEST_CASE("follower: goes on from where another one stopped") {
  FollowedJob job;
  job.write_log("abcdef");
  job.write_state("accepted");
  const auto journal_end = std::filesystem::file_size(job.directory().journal_file());
  job.write_state("image");
  job.release();
  job.start({.log = 4, .journal = journal_end});
  REQUIRE(job.run_to_end());
  CHECK(job.log == "ef");
  CHECK(job.states == std::vector<std::string>{"image"});
}

TEST_CASE("follower: half a journal line waits for its other half") {
  FollowedJob job;
  job.start();
  job.append(job.directory().journal_file(), R"({"state":"image","at":"2026-11)");
  job.run_ready();
  CHECK(job.states.empty());
  job.append(job.directory().journal_file(), "-22T14:30:12Z\"}\n{\"state\":\"torn");
  CHECK(job.run_until([&] { return job.states.size() == 1; }));
  job.release();
  REQUIRE(job.run_to_end());
  const std::string journal = fixtures::slurp(job.directory().journal_file());
  CHECK(job.outcome()->journal == journal.find('\n') + 1);
}

TEST_CASE("follower: a finished job without a log is told and left at once") {
  FollowedJob job;
  job.write_state("finished");
  job.release();
  job.start();
  REQUIRE(job.ended());
  CHECK(job.states == std::vector<std::string>{"finished"});
  CHECK(job.outcome()->log == 0);
}

TEST_CASE("follower: cancellation and a removed directory end it") {
  FollowedJob job;
  job.start();
  job.cancel();
  REQUIRE(job.run_to_end());
  CHECK(job.outcome().error().code == ErrorCode::cancelled);

  job.start();
  CHECK_FALSE(job.ended());
  std::filesystem::remove_all(job.directory().path());
  REQUIRE(job.run_to_end());
  CHECK(job.outcome().error().code == ErrorCode::not_found);

  job.start();
  REQUIRE(job.ended());
  CHECK(job.outcome().error().code == ErrorCode::not_found);
}
