// Looking inside: what show tells of a job, running one again, and what stays of it.
#include <chrono>
#include <csignal>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <stdlib.h>
#include <string>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "tests/e2e/exec_fixture.hpp"
#include "tests/fixtures/program.hpp"

using namespace flow_runner;
using e2e::ExecFixture;

namespace {

nlohmann::json shown(const ExecFixture& test, const std::string& id) {
  const auto ran = test.run({"show", id, "--json"});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.err);
  return nlohmann::json::parse(ran.out);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// `flow-runner exec` in a terminal of 50 rows and 132 columns, as a person has it.
class Person {
 public:
  Person(const ExecFixture& test, const std::vector<std::string>& arguments,
         const std::vector<std::string>& environment = {})
      : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    REQUIRE(::grantpt(master_.get()) == 0);
    REQUIRE(::unlockpt(master_.get()) == 0);
    slave_ = Descriptor(::open(::ptsname(master_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(slave_.get() >= 0);
    resize(50, 132);
    fixtures::ChildSpec spec;
    spec.argv = {fixtures::program("flow-runner"), "exec", "--state-dir",
                 e2e::shared_state().path()};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.argv.push_back(test.flow_file());
    spec.environment.emplace_back("TERM=xterm-256color");
    spec.environment.insert(spec.environment.end(), environment.begin(), environment.end());
    spec.working_directory = test.folder();
    spec.stdin_fd = spec.stdout_fd = spec.stderr_fd = slave_.get();
    auto started = fixtures::ChildProcess::start(spec);
    REQUIRE(started.has_value());
    child_.emplace(std::move(*started));
  }

  void resize(unsigned short rows, unsigned short columns) {
    const winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(::ioctl(slave_.get(), TIOCSWINSZ, &size) == 0);
    // It is the terminal of no session here, so the kernel tells nobody.
    if (child_) child_->signal(SIGWINCH);
  }
  void type(std::string_view text) { REQUIRE(write_all(master_.get(), text).has_value()); }
  void signal(int number) { child_->signal(number); }

  // Reads until `text` was shown behind what was seen before.
  void see(std::string_view text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (shown_.find(text, seen_) == std::string::npos) {
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < deadline, shown_);
      pollfd ready{.fd = master_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, 1000) <= 0) continue;
      char buffer[4096];
      const ssize_t count = ::read(master_.get(), buffer, sizeof buffer);
      REQUIRE_MESSAGE(count > 0, shown_);
      shown_.append(buffer, static_cast<std::size_t>(count));
    }
    seen_ = shown_.find(text, seen_) + text.size();
  }
  int exit_code() {
    const auto code = child_->wait(std::chrono::minutes(2));
    REQUIRE(code.has_value());
    return *code;
  }
  [[nodiscard]] bool is_raw() const {
    termios mode{};
    REQUIRE(::tcgetattr(slave_.get(), &mode) == 0);
    return (mode.c_lflag & ICANON) == 0;
  }
  [[nodiscard]] const std::string& shown() const { return shown_; }

 private:
  Descriptor master_, slave_;
  std::optional<fixtures::ChildProcess> child_;
  std::string shown_;
  std::size_t seen_ = 0;
};

}  // namespace

TEST_CASE("show: status, phases, a denied host, changes and the next commands are told") {
  ExecFixture test;
  test.flow(
      {"exec 3<>/dev/tcp/127.0.0.1/3128",
       "printf 'CONNECT denied.example:443 HTTP/1.1\\r\\nHost: denied.example:443\\r\\n\\r\\n' "
       ">&3; head -n 1 <&3",
       "echo new > new.txt; false"});
  const auto ran = test.push();
  CHECK(ran.exit_code == 1);
  const std::string id = ran.result["id"];
  const auto text = test.run({"show", id});
  CHECK(text.exit_code == 0);
  CHECK(has(text.out, "failed (script_failure, exit code 1)"));
  CHECK(has(text.out, "  script    "));
  CHECK(has(text.out, "  denied    denied.example:443  1 time: "));
  CHECK(has(text.out, "  A new.txt"));
  CHECK(has(text.out, "flow-runner publish " + id));
  const auto document = shown(test, id);
  CHECK(document["cause"] == "script_failure");
  CHECK(document["network_use"]["denied"] == 1);
  CHECK(document["network_use"]["hosts"][0]["host"] == "denied.example:443");
  CHECK(document["work"]["where"] == "bundle");
}

TEST_CASE("exec --from-job: an earlier job runs again, by its id and from a copied folder") {
  ExecFixture test;
  fixtures::write_file(test.project().path() / "README.md", "Edited\n");
  test.flow({"cat README.md; echo \"$AI_FLOW_INPUT $AI_FLOW_EVENT $PLAIN ${MY_KEY:-no key}\"",
             "echo more >> README.md"},
            {"PLAIN", "MY_KEY"});
  const auto first = test.exec({"--repo", test.project().path(), "--input", "mend", "--event",
                                "assign", "--var", "PLAIN=plain", "--secret", "MY_KEY"},
                               {"MY_KEY=hunter2hunter2"});
  REQUIRE_MESSAGE(first.exit_code == 0, first.log);
  const std::string id = first.result["id"];
  // What the person has done since is not what the earlier job saw.
  fixtures::write_file(test.project().path() / "README.md", "Edited again\n");
  const auto again = test.exec({"--from-job", id});
  REQUIRE_MESSAGE(again.exit_code == 0, again.log);
  CHECK(again.log_has("Edited\nmend assign plain no key\n"));
  CHECK(again.log_has("--secret MY_KEY"));
  CHECK(again.result["base"] == first.result["base"]);
  CHECK(again.result["image"]["digest"] == first.result["image"]["digest"]);
  CHECK(again.changes() == std::vector<std::string>{"M README.md"});

  const auto refused = test.run({"publish", again.result["id"].get<std::string>()});
  CHECK(refused.exit_code == 64);
  CHECK(has(refused.err, "--include-uncommitted"));

  const auto copy = test.folder() / "copied";
  std::filesystem::copy(e2e::shared_state().path() / "jobs" / id, copy);
  const auto copied = test.exec({"--from-job", copy, "--repo", test.project().path(), "--input",
                                 "other", "--secret", "MY_KEY"},
                                {"MY_KEY=hunter2hunter2"});
  REQUIRE_MESSAGE(copied.exit_code == 0, copied.log);
  CHECK(copied.log_has("Edited again\nother assign plain [MASKED]\n"));
  CHECK(copied.log_has("uncommitted files, which are not here"));
}

TEST_CASE(
    "exec --keep: the workspace and the container's root stay, show says where, prune takes it") {
  ExecFixture test;
  test.flow({"echo more >> README.md; echo elsewhere > /root/note.txt"});
  const auto ran = test.exec({"--keep", "--repo", test.project().path()});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  const std::string id = ran.result["id"];
  CHECK(ran.log_has("The workspace stays, as --keep asked"));
  const auto work = shown(test, id)["work"];
  REQUIRE(work["workspace"].is_object());
  CHECK(work["workspace"]["only_copy"] == false);
  const std::filesystem::path files = work["workspace"]["path"].get<std::string>();
  const std::filesystem::path root = work["workspace"]["root"].get<std::string>();
  CHECK(fixtures::slurp(files / "README.md") == "A project\nmore\n");
  CHECK(fixtures::slurp(root / "root/note.txt") == "elsewhere\n");
  for (const auto& step : work["steps"]) {
    const std::string command = step["command"];
    if (!command.starts_with("mount ")) continue;
    // In a mount namespace of its own: nothing of it is left.
    fixtures::CommandSpec look;
    look.argv = {"unshare", "--mount", "sh", "-c",
                 command + " && cat /mnt/README.md /mnt/src/tool.sh"};
    const auto looked = fixtures::run_command(look);
    REQUIRE(looked.has_value());
    CHECK_MESSAGE(looked->out == "A project\nmore\n#!/bin/sh\necho tool\n", looked->err);
  }
  const auto removed = test.run({"prune", "--workspace", id});
  CHECK_MESSAGE(removed.exit_code == 0, removed.err);
  CHECK_FALSE(std::filesystem::exists(files));
  CHECK(shown(test, id)["work"]["workspace"].is_null());
  CHECK(shown(test, id)["work"]["where"] == "bundle");
  CHECK(test.run({"prune", "--workspace", id}).exit_code == 64);
}

TEST_CASE("exec --shell: without a terminal it is refused") {
  ExecFixture test;
  test.flow({"true"});
  const auto ran = test.exec({"--shell", "--repo", test.project().path()});
  CHECK(ran.exit_code == 64);
  CHECK(ran.log_has("--json"));
  fixtures::CommandSpec plain;
  plain.argv = {"exec", "--shell", "--repo", test.project().path(), test.flow_file()};
  const auto refused = e2e::shared_state().flow_runner(plain);
  REQUIRE(refused.has_value());
  CHECK(refused->exit_code == 64);
  CHECK(has(refused->err, "need a terminal"));
}

TEST_CASE("exec --shell: a person works in the sandbox, masked, and the changes are shown") {
  ExecFixture test;
  test.flow({"echo never"}, {"MY_KEY"});
  Person person(test, {"--shell", "--repo", test.project().path(), "--secret", "MY_KEY"},
                {"MY_KEY=hunter2hunter2"});
  person.type("stty size; tty; echo \"$TERM in $PWD\"; echo end''1\r");
  person.see("end1");
  CHECK(has(person.shown(), "50 132"));
  CHECK(has(person.shown(), "/dev/pts/"));
  CHECK(has(person.shown(), "xterm-256color in /builds/local/project"));
  CHECK(person.is_raw());
  // Job control, and with it Ctrl-C for the command alone.
  person.type("echo be''gun; sleep 100\r");
  person.see("begun");
  person.type("\x03");
  person.type("echo key=$MY_KEY; echo end''2\r");
  person.see("end2");
  CHECK(has(person.shown(), "key=[MASKED]"));
  CHECK_FALSE(has(person.shown(), "hunter2hunter2"));
  CHECK_FALSE(has(person.shown(), "job control"));
  person.resize(20, 60);
  person.type("until test \"$(stty size)\" = '20 60'; do read -t 0.1; done; echo end''3\r");
  person.see("end3");
  person.type("echo by hand >> README.md; exit 3\r");
  person.see("+by hand");
  CHECK(person.exit_code() == 0);
  CHECK_FALSE(person.is_raw());
  CHECK_FALSE(has(person.shown(), "never"));
}

TEST_CASE("exec --shell: a signal ends it, restores the terminal and keeps the changes") {
  ExecFixture test;
  test.flow({"true"});
  Person person(test, {"--shell", "--repo", test.project().path()});
  person.type("echo half >> README.md; echo re''ady\r");
  person.see("ready");
  CHECK(person.is_raw());
  person.signal(SIGTERM);
  person.see("The changes are kept");
  CHECK(person.exit_code() == 130);
  CHECK_FALSE(person.is_raw());
}

TEST_CASE("exec --shell-on-failure: a shell comes after commands that failed, and only then") {
  ExecFixture test;
  test.flow({"echo one > one.txt; false"});
  Person person(test, {"--shell-on-failure", "--repo", test.project().path()});
  person.type("cat one.txt; sh /run/flow-runner/script; echo end''1\r");
  person.see("end1");
  person.type("echo two > two.txt; exit\r");
  person.see("two.txt");
  CHECK(person.exit_code() == 1);
  test.flow({"true"});
  Person content(test, {"--shell-on-failure", "--repo", test.project().path()});
  CHECK(content.exit_code() == 0);
}
