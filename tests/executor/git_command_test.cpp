#include "executor/git_command.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "tests/executor/run_awaitable.hpp"
#include "tests/fixtures/git_repository.hpp"
#include "tests/fixtures/git_server.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
namespace fs = std::filesystem;

namespace {

const std::string token = "glpat-Xy7_not-to-be-seen";

RemoteUrl remote(const std::string& text) { return parse_remote_url(text).value(); }

Result<RemoteRefs> list(const RemoteUrl& url, const Credential& credential = {},
                        const GitContext& context = {}) {
  Cancellation cancellation;
  const std::vector<std::string> names(1, "refs/heads/main");
  return run_awaitable(
      list_remote(url, credential, names, context, cancellation, std::chrono::seconds(30)));
}

Result<RunOutput> git(GitCommand command, const GitContext& context = {}) {
  Cancellation cancellation;
  return run_awaitable(run_git(std::move(command), context, cancellation));
}

std::string content(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// The pids whose parents lead up to this process.
std::vector<int> descendants() {
  std::vector<int> found;
  std::vector<int> parents(1, ::getpid());
  while (!parents.empty()) {
    const int parent = parents.back();
    parents.pop_back();
    for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(parent) + "/task")) {
      std::stringstream children(content(task.path() / "children"));
      for (int pid = 0; children >> pid;) {
        found.push_back(pid);
        parents.push_back(pid);
      }
    }
  }
  return found;
}

/// A server that takes a request and never answers it.
struct SilentServer {
  boost::asio::io_context loop;
  boost::asio::ip::tcp::acceptor acceptor{loop, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  boost::asio::ip::tcp::socket socket{loop};

  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) +
           "/group/project.git";
  }
};

}  // namespace

TEST_CASE("git command: the token is in no argument and no variable of git and its children") {
  SilentServer server;
  Cancellation cancellation;
  std::string request(4096, '\0');
  std::size_t looked_at = 0;
  // The first request is answered by "show who you are", so that git asks its helper; the second
  // one, which carries the token, is held while we look.
  const std::string challenge =
      "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: "
      "0\r\nConnection: "
      "close\r\n\r\n";
  std::string second;
  const auto serve = [&]() -> boost::asio::awaitable<void> {
    for (int turn = 0; turn < 2; ++turn) {
      auto socket = co_await server.acceptor.async_accept(boost::asio::use_awaitable);
      std::size_t size = 0;
      while (request.substr(0, size).find("\r\n\r\n") == std::string::npos)
        size += co_await socket.async_read_some(
            boost::asio::buffer(request.data() + size, request.size() - size),
            boost::asio::use_awaitable);
      if (turn == 0) {
        boost::asio::write(socket, boost::asio::buffer(challenge));
        continue;
      }
      second = request.substr(0, size);
      for (const int pid : descendants()) {
        const fs::path process = "/proc/" + std::to_string(pid);
        const std::string seen = content(process / "cmdline") + content(process / "environ");
        if (seen.empty()) continue;
        ++looked_at;
        CHECK(seen.find("not-to-be-seen") == std::string::npos);
        CHECK(seen.find("HOME=/root") == std::string::npos);
      }
      cancellation.request(StopCause::canceled);
    }
  };
  boost::asio::co_spawn(server.loop, serve(),
                        [](std::exception_ptr error) { CHECK(error == nullptr); });
  const std::vector<std::string> names;
  const Credential credential{"gitlab-ci-token", Secret(token)};
  const GitContext context;
  const auto refs =
      run_awaitable(server.loop, list_remote(remote(server.url()), credential, names, context,
                                             cancellation, std::chrono::seconds(30)));
  REQUIRE(refs.has_error());
  CHECK(refs.error().code == ErrorCode::cancelled);
  CHECK(looked_at >= 2);  // git and git-remote-http at least
  // base64 of "gitlab-ci-token:glpat-Xy7_not-to-be-seen": the token did arrive.
  CHECK(second.find(
            "Authorization: Basic Z2l0bGFiLWNpLXRva2VuOmdscGF0LVh5N19ub3QtdG8tYmUtc2Vlbg==") !=
        std::string::npos);
}

TEST_CASE("git command: the helper answers for its own origin, again and again, and for no other") {
  const auto made =
      CredentialDescriptor::make("https://host.example:8443", {"oauth2", Secret(token)});
  REQUIRE(made.has_value());
  const auto ask = [&](const std::string& host, const std::string& protocol = "https") {
    ProcessSpec spec;
    spec.argv = {"git", "--git-dir=/nonexistent", "-c", "credential.helper="};
    for (const auto& option : made->git_options()) spec.argv.push_back(option);
    spec.argv.insert(spec.argv.end(), {"credential", "fill"});
    spec.environment = fixtures::git_environment();
    spec.environment.emplace_back("GIT_TERMINAL_PROMPT=0");
    const auto input = memory_file("question", "protocol=" + protocol + "\nhost=" + host + "\n\n");
    spec.stdin_fd = input->get();
    spec.extra_fds = {{made->fd(), CredentialDescriptor::child_fd}};
    Cancellation cancellation;
    return run_awaitable(run_process(spec, RunLimits(), cancellation))->stdout_text;
  };
  for (int turn = 0; turn < 3; ++turn)
    CHECK(ask("host.example:8443").find("password=" + token) != std::string::npos);
  CHECK(ask("host.example").find(token) == std::string::npos);
  CHECK(ask("other.example:8443").find(token) == std::string::npos);
  CHECK(ask("host.example:8443", "http").find(token) == std::string::npos);
}

TEST_CASE("git command: a token with a line break is refused without being shown") {
  for (const char* bad : {"glpat-a\nhost=evil", "glpat-a\r"}) {
    const auto made = CredentialDescriptor::make("https://h", {"oauth2", Secret(bad)});
    REQUIRE(made.has_error());
    CHECK(made.error().message.find("glpat") == std::string::npos);
  }
  CHECK(CredentialDescriptor::make("https://h", {"oauth2", Secret("")}).has_error());
  CHECK(CredentialDescriptor::make("", {"oauth2", Secret("x")}).has_error());
}

TEST_CASE("git command: a server's answers become denied, not found and unavailable") {
  fixtures::TemporaryDirectory folder;
  fixtures::GitRepository origin(folder / "origin");
  origin.write("a", "1").commit("first");
  auto server = fixtures::GitServer::start(folder / "server");
  REQUIRE(server.has_value());
  REQUIRE(server->create_repository("group/project", origin.path()).has_value());
  const auto url = remote(server->url("group/project"));
  const GitContext context{server->ca_file(), {}, {}};
  const Credential credential{"gitlab-ci-token", Secret(server->read_token())};

  const auto refs = list(url, credential, context);
  REQUIRE_MESSAGE(refs.has_value(), refs.error().message);
  CHECK(refs->find("refs/heads/main") == origin.id("HEAD"));

  CHECK(list(url, {}, context).error().code == ErrorCode::denied);
  const auto wrong = list(url, {"gitlab-ci-token", Secret("glpat-wrong-one")}, context);
  CHECK(wrong.error().code == ErrorCode::denied);
  CHECK(wrong.error().message.find("glpat-wrong") == std::string::npos);
  CHECK(list(remote(server->url("group/absent")), credential, context).error().code ==
        ErrorCode::not_found);
  const auto untrusted = list(url, credential);
  CHECK(untrusted.error().code == ErrorCode::unavailable);
  CHECK(untrusted.error().message.find("--ca-file") != std::string::npos);
  CHECK(list(url, credential, {folder / "absent.pem", {}, {}}).error().code ==
        ErrorCode::not_found);

  // A port on which nobody listens any more.
  std::string gone;
  {
    SilentServer closed;
    gone = closed.url();
  }
  CHECK(list(remote(gone)).error().code == ErrorCode::unavailable);
}

TEST_CASE("git command: a deadline ends a git that waits for a silent server") {
  SilentServer server;
  Cancellation cancellation;
  const std::vector<std::string> names;
  const Credential nobody;
  const GitContext context;
  const auto refs = run_awaitable(list_remote(remote(server.url()), nobody, names, context,
                                              cancellation, std::chrono::milliseconds(200)));
  CHECK(refs.error().code == ErrorCode::timed_out);
  CHECK(refs.error().message.find("/group/project.git") != std::string::npos);
}

TEST_CASE("git command: a repository of another user can be read") {
  fixtures::TemporaryDirectory folder;
  fixtures::GitRepository origin(folder / "a \"quoted\" one");
  origin.write("a", "1").commit("first");
  if (::geteuid() == 0) {
    for (const auto& entry : fs::recursive_directory_iterator(origin.path()))
      REQUIRE(::lchown(entry.path().c_str(), 12345, 12345) == 0);
    REQUIRE(::lchown(origin.path().c_str(), 12345, 12345) == 0);
  }
  const auto refs = list(remote(origin.path()));
  REQUIRE_MESSAGE(refs.has_value(), refs.error().message);
  CHECK(refs->head_branch == "refs/heads/main");
  CHECK(list(remote(folder / "absent")).error().code == ErrorCode::not_found);
}

TEST_CASE("git command: a linked work tree is read like its repository") {
  fixtures::TemporaryDirectory folder;
  fixtures::GitRepository origin(folder / "origin");
  origin.write("a", "1").commit("first");
  origin.git({"worktree", "add", "-q", "-b", "side", (folder / "linked").string()});
  const auto refs = list(remote(folder / "linked"));
  REQUIRE_MESSAGE(refs.has_value(), refs.error().message);
  CHECK(refs->head_branch == "refs/heads/side");
  CHECK(local_git_folder(folder / "linked").string().find("/.git/worktrees/") != std::string::npos);
  CHECK(local_git_folder(origin.path()) == origin.path() / ".git");
  CHECK(local_git_folder(folder.path()) == folder.path());
}

TEST_CASE("git command: a repository's own hooks, helpers and protocols do not run") {
  fixtures::TemporaryDirectory folder;
  fixtures::GitRepository origin(folder / "origin");
  origin.write("a", "1");
  const auto head = origin.commit("first");
  const auto ran = folder / "ran";
  const std::string touch = "touch " + ran.string();
  fixtures::write_file(origin.path() / ".git/hooks/reference-transaction",
                       "#!/bin/sh\n" + touch + "\n", 0755);
  for (const char* key :
       {"core.fsmonitor", "core.sshCommand", "core.askPass", "core.alternateRefsCommand",
        "credential.helper", "uploadpack.packObjectsHook", "core.gitProxy"})
    origin.git({"config", key, (std::string(key) == "credential.helper" ? "!" : "") + touch});
  origin.git({"config", "protocol.ext.allow", "always"});
  origin.git({"config", "remote.origin.url", "ext::" + touch});

  GitCommand update;
  update.git_dir = origin.path() / ".git";
  update.arguments = {"update-ref", "refs/heads/new", head};
  CHECK(git(update)->status.success());
  GitCommand fetch;
  fetch.git_dir = origin.path() / ".git";
  fetch.arguments = {"fetch", "origin"};
  fetch.remote = remote(origin.path());
  CHECK_FALSE(git(fetch)->status.success());
  fetch.arguments = {"fetch", "--no-write-fetch-head", origin.path().string(), head};
  CHECK(git(fetch)->status.success());
  CHECK_FALSE(fs::exists(ran));
}

TEST_CASE("git command: stdin reaches git, and progress reaches the caller sanitized") {
  fixtures::TemporaryDirectory folder;
  fixtures::GitRepository origin(folder / "origin");
  for (int i = 0; i < 50; ++i) origin.write("f" + std::to_string(i), std::to_string(i));
  const auto head = origin.commit("first");
  GitCommand command;
  command.git_dir = origin.path() / ".git";
  command.arguments = {"cat-file", "--batch-check"};
  command.input = head + "\n";
  CHECK(git(command)->stdout_text.starts_with(head + " commit"));

  fixtures::GitRepository target(folder / "target");
  std::vector<std::string> lines;
  GitContext context;
  context.sanitize = [](std::string_view text) { return "<" + std::string(text) + ">"; };
  context.on_progress = [&](std::string_view line) { lines.emplace_back(line); };
  GitCommand fetch;
  fetch.git_dir = target.path() / ".git";
  fetch.arguments = {"fetch", "--progress", origin.path().string(), head};
  fetch.remote = remote(origin.path());
  REQUIRE(git(fetch, context)->status.success());
  CHECK_FALSE(lines.empty());
  for (const auto& line : lines) CHECK((line.starts_with("<") && line.ends_with(">")));
}
