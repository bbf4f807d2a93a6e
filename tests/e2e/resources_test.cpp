// Jobs that take all they can get, through the built programs: each is ended or bounded, its work
// is kept, and the next job does not notice.
#include <algorithm>
#include <array>
#include <doctest/doctest.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "sandbox/descriptor.hpp"
#include "tests/e2e/exec_fixture.hpp"

using namespace flow_runner;
using e2e::ExecFixture;
using e2e::ExecRun;

namespace {

/// The job wrote kept.txt before it began to take too much.
void check_ended(const ExecRun& ran, const std::string& option) {
  INFO(ran.log.substr(ran.log.size() - std::min<std::size_t>(ran.log.size(), 2000)));
  CHECK(ran.exit_code == 1);
  CHECK(ran.cause() == "resource_exhausted");
  CHECK(ran.log_has(option));
  CHECK(ran.result["bundle"].is_object());
}

ExecRun run_abuse(ExecFixture& test, const std::string& command,
                  std::vector<std::string> arguments) {
  test.flow({"echo kept > kept.txt", command});
  return test.push(std::move(arguments));
}

}  // namespace

TEST_CASE("resources: a job that fills its workspace is ended, and its work is kept") {
  ExecFixture test;
  const auto ran = run_abuse(
      test,
      "i=0; while [ $i -lt 200 ]; do head -c 4194304 /dev/zero > fill-$i; i=$((i+1)); done; "
      "rm -f fill-*",
      {"--disk", "64MiB"});
  check_ended(ran, "--disk");
  CHECK(ran.log_has("disk limit of 64MiB"));
  test.next_job_works();
}

TEST_CASE("resources: a job that fills the container's root is ended") {
  ExecFixture test;
  const auto ran =
      run_abuse(test, "i=0; while :; do head -c 4194304 /dev/zero > /var/fill-$i; i=$((i+1)); done",
                {"--disk", "64MiB"});
  check_ended(ran, "--disk");
  CHECK(ran.changes() == std::vector<std::string>{"A kept.txt"});
  test.next_job_works();
}

TEST_CASE("resources: one file cannot grow over the disk limit") {
  ExecFixture test;
  const auto ran = run_abuse(test, "truncate -s 1G /var/sparse", {"--disk", "64MiB"});
  check_ended(ran, "--disk");
}

TEST_CASE("resources: a deleted file that is held open counts") {
  ExecFixture test;
  const auto ran = run_abuse(test,
                             "exec 7>/var/a 8>/var/b; rm /var/a /var/b; "
                             "head -c 50000000 /dev/zero >&7; head -c 50000000 /dev/zero >&8; "
                             "while :; do sleep 1; done",
                             {"--disk", "64MiB", "--timeout", "60s"});
  check_ended(ran, "--disk");
}

TEST_CASE("resources: empty files count too") {
  ExecFixture test;
  const auto ran =
      run_abuse(test, "mkdir /var/many; cd /var/many; i=0; while :; do : > $i; i=$((i+1)); done",
                {"--disk", "16MiB", "--timeout", "60s"});
  check_ended(ran, "--disk");
  CHECK(ran.log_has("files and folders"));
}

TEST_CASE("resources: /tmp is bounded, and a job may go on when it is full") {
  ExecFixture test;
  test.flow({"head -c 2G /dev/zero > /tmp/fill || echo refused", "rm -f /tmp/fill",
             "echo kept > kept.txt"});
  const auto ran = test.push({"--disk", "64MiB", "--memory", "256MiB"});
  INFO(ran.log);
  CHECK(ran.cause() != "system_failure");
  test.next_job_works();
}

TEST_CASE("resources: a small job does well beside one that fills the disk") {
  ExecFixture abuser;
  abuser.flow({"echo kept > kept.txt", "echo filling",
               "i=0; while :; do head -c 4194304 /dev/zero > /var/fill-$i; i=$((i+1)); done"});
  auto output = make_pipe();
  REQUIRE(output.has_value());
  auto spec = abuser.push_spec();
  spec.argv.insert(spec.argv.end(), {"--disk", "2GiB"});
  spec.stderr_fd = output->write.get();
  spec.pid_namespace = true;
  auto abuse = fixtures::ChildProcess::start(spec);
  REQUIRE(abuse.has_value());
  output->write.close();
  // Its end closes the pipe, so this wait is no longer than the job.
  std::string log;
  std::array<char, 4096> buffer{};
  while (log.find("\nfilling\n") == std::string::npos) {
    const ssize_t count = ::read(output->read.get(), buffer.data(), buffer.size());
    REQUIRE_MESSAGE(count > 0, log);
    log.append(buffer.data(), static_cast<std::size_t>(count));
  }
  ExecFixture neighbour;
  neighbour.next_job_works();
  ssize_t count = 0;
  while ((count = ::read(output->read.get(), buffer.data(), buffer.size())) > 0)
    log.append(buffer.data(), static_cast<std::size_t>(count));
  const auto code = abuse->wait(std::chrono::minutes(1));
  REQUIRE(code.has_value());
  CHECK(*code == 1);
  CHECK(log.find("disk limit of 2GiB") != std::string::npos);
}

TEST_CASE("resources: a job over its memory limit is ended, and its work is kept") {
  ExecFixture test;
  const auto ran =
      run_abuse(test, "head -c 300000000 /dev/zero | tail -n 1 > /dev/null", {"--memory", "64MiB"});
  check_ended(ran, "--memory");
  test.next_job_works();
}

TEST_CASE("resources: a flood of output is cut, the job goes on and its work is published") {
  ExecFixture test;
  test.flow({"echo kept > kept.txt", "(yes 'a line of no interest' || :) | head -c 200000000",
             "echo; echo after the flood"});
  const auto ran = test.push();
  CHECK(ran.exit_code == 0);
  CHECK(ran.result["log"]["truncated"] == true);
  CHECK(ran.log_has("after the flood"));
  CHECK(test.pushed());
}

TEST_CASE("resources: a time limit ends a job that floods its output without end") {
  ExecFixture test;
  test.flow({"echo kept > kept.txt", "yes 'a line of no interest'"});
  const auto ran = test.push({"--timeout", "5s"});
  CHECK(ran.cause() == "timeout");
  CHECK(ran.result["bundle"].is_object());
  // Grace and all that follows included: far from it unless the flood starves the loop.
  CHECK(ran.result["timings"]["script_ms"].get<int>() < 15'000);
}

TEST_CASE("resources: a job at its limit of processes is told so, bomb or not") {
  ExecFixture test;
  const auto bomb = run_abuse(test, "bomb() { bomb | bomb & }; bomb; sleep 2; sleep 1; /bin/false",
                              {"--pids", "64", "--timeout", "30s"});
  CHECK(bomb.log_has("limit of 64 processes"));
  CHECK(bomb.log_has("--pids"));
  CHECK(bomb.result["bundle"].is_object());
  test.next_job_works();
}

TEST_CASE("resources: a child that ran out of memory is told, though the script went on") {
  ExecFixture test;
  test.flow({"echo kept > kept.txt",
             "head -c 300000000 /dev/zero | tail -n 1 > /dev/null || echo survived"});
  const auto ran = test.push({"--memory", "64MiB"});
  INFO(ran.log);
  // Where the kernel kills the whole group (cgroup v2), nothing of the script survives.
  if (ran.exit_code != 0) return check_ended(ran, "--memory");
  CHECK(ran.log_has("survived"));
  CHECK(ran.log_has("WARNING: 1 process was killed"));
  CHECK(test.pushed());
}
