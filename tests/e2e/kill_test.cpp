// SIGKILL of each process of a job at each transition of its journal: nothing is left running or
// mounted, and the work that the script had done is kept.
//
// FLOW_RUNNER_SEEDS (default 1) sets how many times each pair of process and transition is tried;
// the seed moves the moment of the kill within the transition.
#include <csignal>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <poll.h>
#include <set>
#include <string>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor/job_directory.hpp"
#include "sandbox/cgroup.hpp"
#include "tests/e2e/exec_fixture.hpp"

using namespace flow_runner;
using namespace std::chrono_literals;
using e2e::ExecFixture;
namespace fs = std::filesystem;

namespace {

enum class Victim { outer, inner, client };

const std::map<Victim, const char*> victim_names = {
    {Victim::outer, "outer executor"}, {Victim::inner, "inner executor"}, {Victim::client, "exec"}};

/// The transitions of a job that pushes, and `kept`, that of one that fails.
const std::vector<std::string> transitions = {"accepted", "image",   "workspace",
                                              "sandbox",  "script",  "script_ended",
                                              "changes",  "publish", "kept"};

std::vector<int> children_of(int pid) {
  std::vector<int> children;
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  for (int child = 0; file >> child;) children.push_back(child);
  return children;
}

std::string command_line(int pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/cmdline", 1 << 16);
  return text ? *text : "";
}

/// Pids of all processes whose command line names `text`.
std::set<int> processes_with(const std::string& text) {
  std::set<int> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const int pid = std::atoi(entry.path().filename().c_str());
    if (pid > 0 && pid != ::getpid() && command_line(pid).find(text) != std::string::npos)
      found.insert(pid);
  }
  return found;
}

bool ends_within(int pid, std::chrono::milliseconds deadline) {
  const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return true;
  pollfd end{process.get(), POLLIN, 0};
  return ::poll(&end, 1, static_cast<int>(deadline.count())) == 1;
}

std::set<fs::path> job_folders() {
  std::set<fs::path> folders;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(e2e::shared_state().path() / "jobs", ignored))
    // A job folder is built under a name with a dot and renamed.
    if (entry.path().filename().string().front() != '.') folders.insert(entry.path());
  return folders;
}

/// Waits until `condition` holds, woken by changes below `folder`; false when the deadline passes
/// first.
bool wait_for(const fs::path& folder, const std::function<bool()>& condition) {
  const Descriptor watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ::inotify_add_watch(watch.get(), folder.c_str(), IN_CREATE | IN_MODIFY | IN_MOVED_TO);
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    pollfd ready{watch.get(), POLLIN, 0};
    ::poll(&ready, 1, 1000);
    char buffer[4096];
    while (::read(watch.get(), buffer, sizeof buffer) > 0) {
    }
  }
  return true;
}

bool journal_has(const JobDirectory& job, const std::string& state) {
  const auto entries = job.read_journal();
  if (!entries) return false;
  for (const auto& entry : *entries)
    if (entry.state == state) return true;
  return false;
}

struct Killed {
  fs::path job;
  bool hit = false;  ///< the victim was still there
};

/// Starts a job and kills the victim at the transition.
Killed run_and_kill(ExecFixture& test, Victim victim, const std::string& transition, int seed) {
  const auto before = job_folders();
  auto started = fixtures::ChildProcess::start(test.push_spec());
  REQUIRE(started.has_value());
  Killed killed;
  REQUIRE(wait_for(e2e::shared_state().path() / "jobs", [&] {
    for (const auto& folder : job_folders())
      if (!before.contains(folder)) killed.job = folder;
    return !killed.job.empty();
  }));
  const JobDirectory job(killed.job);
  REQUIRE(wait_for(killed.job,
                   [&] { return journal_has(job, transition) || journal_has(job, "finished"); }));
  // Seed 0 strikes at once, later ones further into the transition.
  if (seed > 0) ::poll(nullptr, 0, seed * 7 % 40);
  int pid = started->pid();
  if (victim != Victim::client) {
    for (const int child : children_of(started->pid()))
      if (command_line(child).find("job-executor") != std::string::npos) pid = child;
    if (victim == Victim::inner && pid != started->pid()) {
      const auto inner = children_of(pid);
      if (!inner.empty()) pid = inner.front();
    }
  }
  if (pid != started->pid() || victim == Victim::client) killed.hit = ::kill(pid, SIGKILL) == 0;
  const auto ended = started->wait(60s);
  CHECK_MESSAGE(ended.has_value(), (ended ? "" : ended.error().message));
  return killed;
}

void nothing_is_left(const JobDirectory& job) {
  // The executor of a killed client goes on until the job is stopped and its changes are kept.
  CHECK(wait_for(job.path(), [&] {
    const auto lock = job.try_lock();
    return lock && lock->has_value();
  }));
  // The lock goes with the inner process; the outer one hears of that end and follows at once.
  for (const int pid : processes_with(job.id())) CHECK(ends_within(pid, 10s));
  CHECK(processes_with(job.id()).empty());
  for (const auto& hierarchy : host_cgroup_hierarchies()) {
    const auto procs = read_file(hierarchy.parent / job.id() / "cgroup.procs", 4096);
    CHECK_MESSAGE((!procs || procs->empty()), hierarchy.parent.string());
  }
  const auto mounts = read_file("/proc/self/mounts", 16 << 20);
  REQUIRE(mounts.has_value());
  CHECK(mounts->find(job.id()) == std::string::npos);
}

int seeds() {
  const char* wanted = std::getenv("FLOW_RUNNER_SEEDS");
  return wanted != nullptr ? std::max(1, std::atoi(wanted)) : 1;
}

}  // namespace

TEST_CASE("kill: whatever dies at whichever transition, nothing is left and the work is kept") {
  ExecFixture test;
  int tried = 0;
  int hit = 0;
  for (int seed = 0; seed < seeds(); ++seed) {
    for (const auto& [victim, name] : victim_names) {
      for (const auto& transition : transitions) {
        INFO("killed: ", name);
        CAPTURE(transition);
        CAPTURE(seed);
        // The work is there before the script says anything, so that every kill from `script_ended`
        // on, and most within `script`, must find it.
        const bool fails = transition == "kept";
        test.flow({"echo work > work.txt; sleep 0.1", fails ? "exit 3" : "true"});
        test.origin().git({"update-ref", "-d", "refs/heads/workloads/test"});
        const Killed killed = run_and_kill(test, victim, transition, seed);
        ++tried;
        hit += killed.hit ? 1 : 0;
        const JobDirectory job(killed.job);
        nothing_is_left(job);
        const auto listed = test.run({"list"});
        CHECK_MESSAGE(listed.exit_code == 0, listed.err);
        const auto result = job.read_result();
        REQUIRE(result.has_value());
        REQUIRE(result->has_value());
        const bool worked = journal_has(job, "script_ended");
        if (worked) {
          const bool kept = fs::exists(job.bundle_file());
          const bool pushed = test.pushed();
          CHECK_MESSAGE((kept || pushed), (*result)->message);
          if (kept) {
            CHECK_FALSE((*result)->commit.empty());
            const auto heads =
                fixtures::run_command({.argv = {"git", "bundle", "list-heads", job.bundle_file()}});
            CHECK(heads->out.find("refs/heads/workloads/test") != std::string::npos);
          }
        }
        CHECK_FALSE(fs::exists(job.overlay()));
      }
    }
  }
  MESSAGE("killed " << hit << " of " << tried << " processes");
  // A job that always ends before it is struck would show nothing.
  CHECK(hit * 2 > tried);
  test.next_job_works();
}
