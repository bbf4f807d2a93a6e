// exec --push against a git server as GitLab is one: over TLS 1.3 with an authority of its own, and
// tokens that may push, may only read, or are not known.
#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <mutex>
#include <optional>
#include <poll.h>
#include <set>
#include <stop_token>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "config/encoding.hpp"
#include "tests/e2e/exec_fixture.hpp"
#include "tests/fixtures/git_server.hpp"
#include "tests/fixtures/server_certificate.hpp"

using namespace flow_runner;
using namespace std::chrono_literals;
using e2e::ExecFixture;
using e2e::ExecRun;
namespace fs = std::filesystem;

namespace {

constexpr const char* project = "group/project";
constexpr const char* identity =
    "git config user.name Agent; git config user.email agent@example.com";

/// The forms in which a token could be seen.
std::vector<std::string> forms_of(const std::string& token) {
  return {token, base64_encode("gitlab-ci-token:" + token), base64_encode("oauth2:" + token)};
}

bool has_any(const std::string& text, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return text.find(word) != std::string::npos; });
}

/// A project on a server, and jobs that push to it.
class TlsFixture {
 public:
  TlsFixture() : server(start(test.folder() / "server")) {
    REQUIRE(server.create_repository(project, test.project().path()).has_value());
  }

  /// `exec --json --push --workload-ref workloads/test` with the server's CA, and more arguments.
  ExecRun push(std::vector<std::string> more, std::vector<std::string> environment = {}) {
    std::vector<std::string> all = {"--repo",         server.url(project), "--push",
                                    "--workload-ref", "workloads/test",    "--ca-file",
                                    server.ca_file()};
    all.insert(all.end(), more.begin(), more.end());
    return test.exec(std::move(all), std::move(environment));
  }
  /// With this token in the environment.
  ExecRun push_with(const std::string& token) {
    return push({"--secret", "GITLAB_TOKEN"}, {"GITLAB_TOKEN=" + token});
  }
  /// What the server has now.
  fixtures::GitRepository served() {
    return fixtures::GitRepository::bare_clone(
        server.repository_path(project),
        test.folder() / ("served-" + std::to_string(++copies_) + ".git"));
  }
  std::vector<fixtures::ServedRequest> requests() const {
    auto log = server.access_log();
    REQUIRE_MESSAGE(log.has_value(), (log ? "" : log.error().message));
    return std::move(*log);
  }

  ExecFixture test;
  fixtures::GitServer server;

 private:
  static fixtures::GitServer start(const fs::path& root) {
    auto started = fixtures::GitServer::start(root);
    if (!started) FAIL(started.error().message);
    return std::move(*started);
  }
  int copies_ = 0;
};

/// Looks through the arguments and environments of all processes of this host while it lives.
class ProcessWatch {
 public:
  explicit ProcessWatch(std::vector<std::string> secrets)
      : secrets_(std::move(secrets)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

  struct Seen {
    std::set<std::string> programs;   ///< base names, and each with its first argument
    std::set<std::string> arguments;  ///< programs with a secret among their arguments
    /// Programs with a secret in their environment, the client excepted: a person may give it
    /// there.
    std::set<std::string> environments;
    bool client = false;  ///< the client had it in its environment
  };
  Seen stop() {
    thread_.request_stop();
    thread_.join();
    return seen_;
  }

 private:
  void run(const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    while (!never.wait_for(lock, stop, 2ms, [&] { return stop.stop_requested(); })) look();
  }
  void look() {
    for (const auto& process : fs::directory_iterator("/proc")) {
      if (std::atoi(process.path().filename().c_str()) == 0) continue;
      // A process that has just ended has neither.
      const auto arguments = read_file(process.path() / "cmdline", 4U << 20);
      if (!arguments || arguments->empty()) continue;
      const auto end = arguments->find('\0');
      const auto name = fs::path(arguments->substr(0, end)).filename().string();
      const std::string first = end == arguments->npos ? "" : arguments->c_str() + end + 1;
      seen_.programs.insert({name, name + " " + first});
      if (has_any(*arguments, secrets_)) seen_.arguments.insert(name);
      const auto environment = read_file(process.path() / "environ", 4U << 20);
      if (!environment || !has_any(*environment, secrets_)) continue;
      // A child of the client looks like it until it becomes its own program.
      if (name == "flow-runner" && first == "exec")
        seen_.client = true;
      else
        seen_.environments.insert(name + " " + first);
    }
  }

  std::vector<std::string> secrets_;
  Seen seen_;
  std::jthread thread_;
};

void is_nowhere_in(const ExecRun& ran, const std::string& token) {
  for (const auto& form : forms_of(token)) {
    CHECK_FALSE(ran.log_has(form));
    CHECK(ran.result.dump().find(form) == std::string::npos);
    const auto found = fixtures::run_command(
        {.argv = {"grep", "-rlaF", "--exclude-dir=images", form, e2e::shared_state().path()}});
    REQUIRE(found.has_value());
    CHECK(found->out.empty());
  }
}

/// Inode and path of everything that the cache holds as snapshots.
std::set<std::pair<ino_t, fs::path>> snapshots() {
  std::set<std::pair<ino_t, fs::path>> found;
  for (const auto& entry : fs::directory_iterator(e2e::shared_state().path() / "repositories")) {
    std::error_code ignored;
    for (const auto& snapshot : fs::directory_iterator(entry.path() / "snapshots", ignored)) {
      struct stat facts = {};
      REQUIRE(::stat(snapshot.path().c_str(), &facts) == 0);
      found.emplace(facts.st_ino, snapshot.path());
    }
  }
  return found;
}

/// Another host, as far as a credential is concerned: a TLS server on a port of its own that sends
/// every client on to a repository at `target`.
class Redirector {
 public:
  Redirector(const fs::path& folder, const std::string& target) {
    const auto made = fixtures::make_server_certificate(folder / "certificates");
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
    ca_file_ = made->ca;
    constexpr const char* question = "info/refs?service=git-upload-pack";
    fixtures::write_file(folder / (project + std::string(".git")) / question,
                         "HTTP/1.1 302 Found\r\nLocation: " + target + "/" + question +
                             "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    auto pipe = make_pipe();
    REQUIRE(pipe.has_value());
    auto started = fixtures::ChildProcess::start(
        {.argv = {"openssl", "s_server", "-HTTP", "-accept", "127.0.0.1:0", "-cert",
                  made->certificate, "-key", made->key},
         .working_directory = folder,
         .stdout_fd = pipe->write.get()});
    REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().message));
    process_.emplace(std::move(*started));
    pipe->write.close();
    // It says its port as "ACCEPT 127.0.0.1:PORT".
    std::string said;
    constexpr std::string_view mark = "ACCEPT 127.0.0.1:";
    while (said.find(mark) == said.npos || !said.ends_with('\n')) {
      pollfd ready{pipe->read.get(), POLLIN, 0};
      REQUIRE(::poll(&ready, 1, 20'000) > 0);
      char buffer[256];
      const auto count = ::read(pipe->read.get(), buffer, sizeof buffer);
      REQUIRE(count > 0);
      said.append(buffer, static_cast<std::size_t>(count));
    }
    port_ = std::stoi(said.substr(said.find(mark) + mark.size()));
    output_ = std::move(pipe->read);
  }

  [[nodiscard]] std::string url() const {
    return "https://127.0.0.1:" + std::to_string(port_) + "/" + project + ".git";
  }
  [[nodiscard]] const fs::path& ca_file() const { return ca_file_; }

 private:
  fs::path ca_file_;
  std::optional<fixtures::ChildProcess> process_;
  Descriptor output_;
  int port_ = 0;
};

}  // namespace

TEST_CASE("tls: files and the agent's own commits, unaltered, are on the workload ref") {
  TlsFixture tls;
  tls.test.flow(
      {identity,
       "printf '#!/bin/sh\\n' > run.sh; chmod +x run.sh; git add run.sh; git commit -qm 'By the "
       "agent'",
       "git mv README.md MANUAL.md; git commit -qm 'By the agent too'",
       "echo \"commits $(git rev-parse HEAD~1) $(git rev-parse HEAD)\"",
       "echo changed >> src/main.c; echo more >> src/tool.sh; echo new > untracked.txt",
       "printf '#!/bin/sh\\n' > new-tool; chmod +x new-tool"});
  const auto ran = tls.push_with(tls.server.push_token());
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  const auto served = tls.served();
  // What it left uncommitted is its work too: its own name, by our hand.
  CHECK(
      served.git({"log", "--format=%s|%an|%cn", "main..workloads/test"}) ==
      "Changes by flow|Agent|flow-runner\nBy the agent too|Agent|Agent\nBy the agent|Agent|Agent");
  CHECK(ran.log_has("commits " + served.id("workloads/test~2") + " " +
                    served.id("workloads/test~1")));
  CHECK(served.show("workloads/test", "untracked.txt") == "new");
  CHECK(served.show("workloads/test", "src/main.c").ends_with("\nchanged"));
  CHECK(served.git({"ls-tree", "-r", "--format=%(objectmode) %(path)", "workloads/test"}) ==
        "100644 MANUAL.md\n100755 new-tool\n100755 run.sh\n100644 src/main.c\n100755 "
        "src/tool.sh\n100644 untracked.txt");
  CHECK(served.id("main") == tls.test.project().id("HEAD"));

  const auto pushes = tls.server.pushes();
  REQUIRE(pushes.size() == 1);
  CHECK(pushes[0].ref == "refs/heads/workloads/test");
  CHECK(pushes[0].new_id == served.id("workloads/test"));
  CHECK(pushes[0].options == "ci.skip");
  CHECK(ran.result["pushed"]["sha"] == pushes[0].new_id);
}

TEST_CASE("tls: the token is in no log, result, state file, argument list or environment") {
  TlsFixture tls;
  const auto token = tls.server.push_token();
  tls.test.flow({"echo work > work.txt", "test -z \"${GITLAB_TOKEN:-}\"",
                 "! env | grep -e \"^GITLAB_\"", "cat .git/config; git remote get-url origin",
                 "sleep 1.0625"});
  bool by_environment = false;
  std::vector<std::string> environment;
  std::string secret = "GITLAB_TOKEN";
  SUBCASE("given in the environment") {
    by_environment = true;
    environment = {"GITLAB_TOKEN=" + token};
  }
  SUBCASE("given in a file") {
    secret += "=@" + (tls.test.folder() / "token").string();
    fixtures::write_file(tls.test.folder() / "token", token + "\n", 0600);
  }
  ProcessWatch watch(forms_of(token));
  const auto ran = tls.push({"--secret", secret}, environment);
  const auto seen = watch.stop();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(tls.served().show("workloads/test", "work.txt") == "work");

  // All of them were looked at: client and executor, git and its helper, the container's own.
  for (const char* program : {"flow-runner exec", "exe job-executor", "git", "sleep 1.0625"}) {
    CAPTURE(program);
    CHECK(seen.programs.contains(program));
  }
  CHECK(std::any_of(seen.programs.begin(), seen.programs.end(),
                    [](const std::string& name) { return name.starts_with("git-remote-http"); }));
  CHECK(seen.client == by_environment);
  CHECK(nlohmann::json(seen.arguments).dump() == "[]");
  CHECK(nlohmann::json(seen.environments).dump() == "[]");

  is_nowhere_in(ran, token);
  const auto url = tls.server.url(project);
  CHECK(ran.log_has("\turl = " + url + "\n"));
  CHECK(ran.log_has("\n" + url + "\n"));
  for (const char* trace : {"gitlab-ci-token", "extraheader", "credential", "@127.0.0.1"}) {
    CAPTURE(trace);
    CHECK_FALSE(ran.log_has(trace));
  }
}

TEST_CASE("tls: a token that the flow lists reaches the script, and is masked in what it prints") {
  TlsFixture tls;
  const auto token = tls.server.push_token();
  tls.test.flow({"echo \"length ${#GITLAB_TOKEN}\"; echo \"printed $GITLAB_TOKEN\"",
                 "printf %s \"gitlab-ci-token:$GITLAB_TOKEN\" | base64 -w0; echo"},
                {"GITLAB_TOKEN"});
  const auto ran = tls.push_with(token);
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.log_has("length " + std::to_string(token.size())));
  CHECK(ran.log_has("printed [MASKED]"));
  is_nowhere_in(ran, token);
}

TEST_CASE("tls: a second job uses the cached snapshot, and asks the remote with its own token") {
  TlsFixture tls;
  tls.test.flow({"git log -1 --format=%s"});
  REQUIRE(tls.push_with(tls.server.push_token()).exit_code == 0);
  const auto first = tls.requests();
  const auto made = snapshots();
  REQUIRE_FALSE(made.empty());

  const auto ran = tls.push_with(tls.server.read_token());
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.log_has("A project"));
  CHECK(snapshots() == made);
  const auto all = tls.requests();
  const std::vector<fixtures::ServedRequest> second(
      all.begin() + static_cast<std::ptrdiff_t>(first.size()), all.end());
  const auto uploads = [](const std::vector<fixtures::ServedRequest>& requests) {
    return std::count_if(requests.begin(), requests.end(), [](const auto& request) {
      return request.method == "POST" && request.status == 200;
    });
  };
  // It lists the refs and fetches nothing.
  CHECK(uploads(second) == 1);
  CHECK(uploads(first) > 1);
  for (const auto& request : second)
    CHECK(request.access == (request.status == 401 ? "none" : "read"));
}

TEST_CASE("tls: a job without a good token is refused, though everything is cached") {
  TlsFixture tls;
  tls.test.flow({"echo it ran"});
  REQUIRE(tls.push_with(tls.server.push_token()).exit_code == 0);
  ExecRun ran;
  SUBCASE("wrong") {
    ran = tls.push_with("glpat-nobodyKnowsThisOne00");
    CHECK(ran.log_has("the job's token"));
    CHECK(ran.log_has("read_repository"));
    is_nowhere_in(ran, "glpat-nobodyKnowsThisOne00");
  }
  SUBCASE("missing") {
    ran = tls.push({});
    CHECK(ran.log_has("--git-token-from"));
  }
  CHECK(ran.exit_code == 2);
  CHECK_MESSAGE(ran.cause() == "workspace_failure", ran.log);
  CHECK_FALSE(ran.log_has("it ran"));
  // The next one with a good token is served as before.
  CHECK(tls.push_with(tls.server.read_token()).exit_code == 0);
}

TEST_CASE("tls: a token that may only read fails the publication, and the work is kept") {
  TlsFixture tls;
  tls.test.flow({"echo work > work.txt"});
  const auto ran = tls.push_with(tls.server.read_token());
  CHECK(ran.exit_code == 1);
  CHECK_MESSAGE(ran.cause() == "publish_failure", ran.log);
  const std::string message = ran.result["message"];
  CHECK_MESSAGE(message.find("write_repository") != std::string::npos, message);
  CHECK(tls.server.pushes().empty());
  REQUIRE(ran.result["bundle"].is_object());
  const auto heads = fixtures::run_command(
      {.argv = {"git", "bundle", "list-heads", ran.result["bundle"]["path"].get<std::string>()}});
  REQUIRE(heads.has_value());
  CHECK(heads->out.find("refs/heads/workloads/test") != std::string::npos);
  is_nowhere_in(ran, tls.server.read_token());

  // The way that the log names works, with a token that may push.
  const std::string id = ran.result["id"];
  CHECK(ran.log_has("flow-runner publish " + id));
  fixtures::CommandSpec publish;
  publish.argv = {"publish", id, "--ca-file", tls.server.ca_file(), "--secret", "GITLAB_TOKEN"};
  publish.environment.push_back("GITLAB_TOKEN=" + tls.server.push_token());
  const auto published = e2e::shared_state().flow_runner(std::move(publish));
  REQUIRE(published.has_value());
  CHECK_MESSAGE(published->exit_code == 0, published->err);
  CHECK(tls.served().show("workloads/test", "work.txt") == "work");
}

TEST_CASE("tls: a server of an unknown authority gets no token, and the error names --ca-file") {
  TlsFixture tls;
  tls.test.flow({"echo it ran"});
  std::vector<std::string> arguments = {"--repo", tls.server.url(project), "--push", "--secret",
                                        "GITLAB_TOKEN"};
  SUBCASE("no authority given") {}
  SUBCASE("another authority") {
    const auto other = fixtures::make_server_certificate(tls.test.folder() / "other");
    REQUIRE(other.has_value());
    arguments.insert(arguments.end(), {"--ca-file", other->ca});
  }
  const auto ran = tls.test.exec(std::move(arguments), {"GITLAB_TOKEN=" + tls.server.push_token()});
  CHECK(ran.exit_code == 2);
  CHECK_MESSAGE(ran.cause() == "workspace_failure", ran.log);
  const std::string message = ran.result["message"];
  CHECK_MESSAGE(message.find("--ca-file") != std::string::npos, message);
  CHECK_FALSE(ran.log_has("it ran"));
  CHECK(tls.requests().empty());
}

TEST_CASE("tls: a redirect to another server does not carry the token there") {
  TlsFixture tls;
  const Redirector redirector(tls.test.folder() / "redirector", tls.server.url(project));
  const auto both = tls.test.folder() / "both.pem";
  fixtures::write_file(
      both, fixtures::slurp(tls.server.ca_file()) + fixtures::slurp(redirector.ca_file()));
  tls.test.flow({"echo it ran"});
  const auto ran = tls.test.exec(
      {"--repo", redirector.url(), "--push", "--ca-file", both, "--secret", "GITLAB_TOKEN"},
      {"GITLAB_TOKEN=" + tls.server.push_token()});
  CHECK(ran.exit_code == 2);
  CHECK_FALSE(ran.log_has("it ran"));
  // The client did follow, and came without what would have let it in.
  const auto requests = tls.requests();
  CHECK_FALSE(requests.empty());
  for (const auto& request : requests) CHECK(request.access == "none");
}
