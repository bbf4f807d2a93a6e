#include "executor/publication.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/executor/publication_fixture.hpp"
#include "tests/fixtures/git_server.hpp"

using namespace flow_runner;
namespace fs = std::filesystem;

namespace {

using Fixture = PublicationFixture;

struct Remote : Fixture {
  fixtures::GitServer server = start();

  fixtures::GitServer start() {
    auto started = fixtures::GitServer::start(folder / "server");
    if (!started) FAIL(started.error().message);
    REQUIRE(started->create_repository("group/project", origin.path()).has_value());
    context.ca_file = started->ca_file();
    return std::move(*started);
  }
  [[nodiscard]] PublicationRequest request() const {
    auto result = Fixture::request(server.url("group/project"));
    result.credential = {"gitlab-ci-token", Secret(server.push_token())};
    return result;
  }
  std::string git(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     "--git-dir=" + server.repository_path("group/project").string());
    return origin.git(std::move(arguments));
  }
  [[nodiscard]] std::string tip(const std::string& ref = target_ref) const {
    return git({"rev-parse", ref});
  }
  /// Somebody else's commit on the ref.
  std::string other_commit(const std::string& name, const std::string& text) {
    origin.git({"checkout", "-q", "--detach", base});
    const auto commit = origin.write(name, text).commit("other: " + name);
    origin.git({"push", "-q", "-f", server.repository_path("group/project").string(),
                commit + ":" + target_ref});
    return commit;
  }
};

}  // namespace

TEST_CASE("publication: a new ref is pushed with ci.skip, and read back") {
  Remote f;
  const auto outcome = f.published(f.request());
  CHECK(outcome.ref == target_ref);
  CHECK(outcome.commit == f.head);
  CHECK_FALSE(outcome.already_there);
  CHECK(outcome.replays == 0);
  CHECK(outcome.warnings.empty());
  CHECK(f.tip() == f.head);
  REQUIRE(f.server.pushes().size() == 1);
  CHECK(f.server.pushes()[0].options == "ci.skip");
  CHECK_FALSE(f.has_leftovers());

  const auto again = f.published(f.request());
  CHECK(again.already_there);
  CHECK(f.server.pushes().size() == 1);
}

TEST_CASE("publication: a ref outside of refs/heads is pushed as given") {
  Remote f;
  auto request = f.request();
  request.ref = "refs/workloads/abc";
  request.skip_pipelines = false;
  CHECK(f.published(request).commit == f.head);
  CHECK(f.tip("refs/workloads/abc") == f.head);
  CHECK(f.server.pushes()[0].options.empty());
}

TEST_CASE("publication: a server without push options gets the commits, and a warning says so") {
  Remote f;
  f.git({"config", "receive.advertisePushOptions", "false"});
  const auto outcome = f.published(f.request());
  REQUIRE(outcome.warnings.size() == 1);
  CHECK(outcome.warnings[0].find("push options") != std::string::npos);
  CHECK(f.tip() == f.head);
}

TEST_CASE("publication: a ref that stands at the base is moved forward") {
  Remote f;
  f.git({"update-ref", target_ref, f.base});
  auto request = f.request();
  request.expected = f.base;
  CHECK(f.published(request).replays == 0);
  CHECK(f.tip() == f.head);
}

TEST_CASE("publication: a moved ref keeps its commits, and the job's are put on top") {
  Remote f;
  const auto other = f.other_commit("other.txt", "theirs\n");
  auto request = f.request();
  request.expected = f.base;
  const auto outcome = f.published(request);
  CHECK(outcome.replays == 1);
  CHECK(outcome.commit == f.tip());
  CHECK(outcome.commit != f.head);
  CHECK(f.git({"rev-parse", target_ref + "~1"}) == other);
  CHECK(f.git({"show", target_ref + ":agent.txt"}) == "new");
  CHECK(f.git({"show", target_ref + ":other.txt"}) == "theirs");
  CHECK(f.git({"log", "-1", "--format=%an %s", target_ref}) == "Test Person agent: agent.txt");
  REQUIRE(outcome.warnings.size() == 1);
}

TEST_CASE("publication: a ref that moves during the push itself is replayed on") {
  Remote f;
  f.git({"update-ref", target_ref, f.base});
  const auto other = f.other_commit("other.txt", "theirs\n");
  f.git({"update-ref", target_ref, f.base});
  // The first push is refused by a hook that lets somebody else win the race.
  const auto repository = f.server.repository_path("group/project");
  const auto once = f.folder / "once";
  fixtures::write_file(f.folder / "server/hooks/update",
                       "#!/bin/sh\nmkdir " + once.string() +
                           " 2>/dev/null || exit 0\nunset GIT_QUARANTINE_PATH\n" +
                           "git --git-dir=" + repository.string() + " update-ref " + target_ref +
                           " " + other + "\nexit 0\n",
                       0755);
  const auto outcome = f.published(f.request());
  REQUIRE(fs::exists(once));
  CHECK(outcome.replays == 1);
  CHECK(f.git({"rev-parse", target_ref + "~1"}) == other);
}

TEST_CASE("publication: conflicts stop it, with the paths, and leave the remote alone") {
  Remote f;
  f.head = f.job_commit("a.txt", "mine\n");
  const auto other = f.other_commit("a.txt", "theirs\n");
  const auto outcome = f.publish_to(f.request());
  REQUIRE(outcome.has_error());
  CHECK(outcome.error().code == ErrorCode::invalid_input);
  CHECK(outcome.error().message.find("a.txt") != std::string::npos);
  CHECK(outcome.error().message.find("kept") != std::string::npos);
  CHECK(f.tip() == other);
  CHECK_FALSE(f.has_leftovers());
}

TEST_CASE("publication: a remote that already holds the commits below others counts as published") {
  Remote f;
  const auto later = f.job_commit("later.txt", "later\n");
  f.job.git(
      {"push", "-q", f.server.repository_path("group/project").string(), later + ":" + target_ref});
  const auto outcome = f.published(f.request());
  CHECK(outcome.already_there);
  CHECK(f.tip() == later);
}

TEST_CASE("publication: a ref that was removed meanwhile is made again, and a warning says so") {
  Remote f;
  auto request = f.request();
  request.expected = f.base;
  const auto outcome = f.published(request);
  REQUIRE(outcome.warnings.size() == 1);
  CHECK(outcome.warnings[0].find("removed") != std::string::npos);
  CHECK(f.tip() == f.head);
}

TEST_CASE(
    "publication: a refusal is denied, with the server's words and what becomes of the changes") {
  Remote f;
  f.server.protect("group/project", target_ref);
  const auto by_hook = f.publish_to(f.request());
  REQUIRE(by_hook.has_error());
  CHECK(by_hook.error().code == ErrorCode::denied);
  CHECK(by_hook.error().message.find("protected") != std::string::npos);
  CHECK(by_hook.error().message.find("the changes are kept") != std::string::npos);

  auto request = f.request();
  request.ref = "refs/heads/workloads/v";
  request.credential.token = Secret(f.server.read_token());
  const auto by_token = f.publish_to(request);
  REQUIRE(by_token.has_error());
  CHECK(by_token.error().code == ErrorCode::denied);
  CHECK(by_token.error().message.find("write_repository") != std::string::npos);
  CHECK(by_token.error().message.find(f.server.read_token()) == std::string::npos);
}

TEST_CASE("publication: a quarantine that reaches beyond the mirror is refused") {
  Fixture f;
  const auto url = f.folder / "target";
  fixtures::GitRepository::bare_clone(f.origin.path(), url);
  const auto refused = [&] {
    const auto outcome = f.publish_to(f.request(url));
    REQUIRE(outcome.has_error());
    CHECK(outcome.error().code == ErrorCode::denied);
    CHECK_FALSE(f.has_leftovers());
  };
  const auto objects = f.quarantine / "objects";
  fs::create_directory_symlink(f.folder / "origin/.git/objects/pack", objects / "ff");
  refused();
  fs::remove(objects / "ff");
  fixtures::write_file(objects / "pack/x", "x");
  refused();
  fs::remove(objects / "pack/x");
  const auto fifo = objects / ("pack/pack-" + std::string(40, 'a') + ".pack");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  refused();
  fs::remove(fifo);
  const auto good = fixtures::slurp(objects / "info/alternates");
  fixtures::write_file(objects / "info/alternates",
                       good + (f.folder / "origin/.git/objects").string() + "\n");
  refused();
  fixtures::write_file(objects / "info/alternates",
                       (f.folder / "origin/.git/objects").string() + "\n");
  refused();
  fixtures::write_file(objects / "info/alternates", good);
  CHECK(f.published(f.request(url)).commit == f.head);
}

TEST_CASE("publication: the quarantine's own configuration and hooks are not used") {
  Remote f;
  const auto ran = f.folder / "ran";
  const std::string touch = "touch " + ran.string();
  fixtures::write_file(
      f.quarantine / "config",
      "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tsshCommand = " + touch +
          "\n\taskPass = " + touch + "\n\thooksPath = " + (f.quarantine / "hooks").string() +
          "\n[credential]\n\thelper = !" + touch + "\n[url \"ext::sh -c " + touch +
          "\"]\n\tinsteadOf = https://\n");
  for (const char* hook : {"pre-push", "reference-transaction"})
    fixtures::write_file(f.quarantine / "hooks" / hook, "#!/bin/sh\n" + touch + "\n", 0755);
  CHECK(f.published(f.request()).commit == f.head);
  CHECK_FALSE(fs::exists(ran));
}

TEST_CASE("publication: head must descend from base, and ids and refs must be whole") {
  Fixture f;
  const auto url = f.folder / "target";
  fixtures::GitRepository::bare_clone(f.origin.path(), url);
  auto request = f.request(url);
  std::swap(request.base, request.head);
  CHECK(f.publish_to(request).error().code == ErrorCode::internal);
  request = f.request(url);
  request.head = "--upload-pack=id";
  CHECK(f.publish_to(request).error().code == ErrorCode::invalid_input);
  request = f.request(url);
  request.ref = "workloads/w";
  CHECK(f.publish_to(request).error().code == ErrorCode::invalid_input);
  request = f.request("https://host.example/p");
  request.mode = PublishMode::local;
  CHECK(f.publish_to(request).error().code == ErrorCode::invalid_input);
  request.mode = PublishMode::none;
  CHECK(f.publish_to(request).error().code == ErrorCode::invalid_input);
}

TEST_CASE(
    "publication: locally a branch is made without touching HEAD, index, work tree or hooks") {
  Fixture f;
  const auto ran = f.folder / "ran";
  for (const char* hook : {"reference-transaction", "post-receive", "update", "pre-receive"})
    fixtures::write_file(f.origin.path() / ".git/hooks" / hook,
                         "#!/bin/sh\ntouch " + ran.string() + "\n", 0755);
  f.origin.write("a.txt", "not committed\n");
  const auto index = fixtures::slurp(f.origin.path() / ".git/index");
  auto request = f.request(f.origin.path());
  request.mode = PublishMode::local;
  CHECK(f.published(request).commit == f.head);
  CHECK_FALSE(fs::exists(ran));
  CHECK(fixtures::slurp(f.origin.path() / ".git/index") == index);
  CHECK(fixtures::slurp(f.origin.path() / "a.txt") == "not committed\n");
  CHECK(f.origin.id("HEAD") == f.base);
  CHECK(f.origin.git({"symbolic-ref", "HEAD"}) == "refs/heads/main");
  CHECK(f.origin.id(target_ref) == f.head);
  CHECK(f.origin.show(target_ref, "agent.txt") == "new");
  CHECK_FALSE(fs::exists(f.origin.path() / ".git/FETCH_HEAD"));
  f.origin.git({"fsck", "--strict"});

  CHECK(f.published(request).already_there);
}

TEST_CASE("publication: locally a moved branch is replayed on, and its own commits stay") {
  Fixture f;
  f.origin.git({"checkout", "-q", "-b", "workloads/w"});
  const auto theirs = f.origin.write("theirs", "t\n").commit("theirs");
  f.origin.git({"checkout", "-q", "main"});
  auto request = f.request(f.origin.path());
  request.mode = PublishMode::local;
  const auto outcome = f.published(request);
  CHECK(outcome.replays == 1);
  CHECK(f.origin.id(target_ref + "~1") == theirs);
  CHECK(f.origin.show(target_ref, "agent.txt") == "new");
}

TEST_CASE(
    "publication: locally a branch that is checked out, anywhere, or is symbolic, is refused") {
  Fixture f;
  auto request = f.request(f.origin.path());
  request.mode = PublishMode::local;
  f.origin.git({"worktree", "add", "-q", "-b", "workloads/w", (f.folder / "linked").string()});
  const auto linked = f.publish_to(request);
  REQUIRE(linked.has_error());
  CHECK(linked.error().code == ErrorCode::denied);
  CHECK(linked.error().message.find("checked out") != std::string::npos);
  f.origin.git({"worktree", "remove", (f.folder / "linked").string()});
  f.origin.git({"checkout", "-q", "workloads/w"});
  CHECK(f.publish_to(request).error().code == ErrorCode::denied);
  f.origin.git({"checkout", "-q", "main"});
  f.origin.git({"branch", "-D", "workloads/w"});
  f.origin.git({"symbolic-ref", target_ref, "refs/heads/main"});
  CHECK(f.publish_to(request).error().code == ErrorCode::denied);
  CHECK(f.origin.id("refs/heads/main") == f.base);
}

TEST_CASE("publication: a job of shallow depth publishes to a whole repository") {
  Fixture f;
  const auto second = f.origin.write("c", "c").commit("second");
  f.job.git({"pull", "-q", f.origin.path().string(), "main", "--rebase"});
  f.prepared = f.prepare(1);
  REQUIRE(f.prepared.shallow);
  fs::remove_all(f.quarantine);
  f.quarantine = f.make_quarantine();
  f.base = second;
  f.head = f.job_commit("more.txt", "more\n");
  const auto bare = f.folder / "bare";
  fixtures::GitRepository::bare_clone(f.origin.path(), bare);
  // The job's commits are those after second.
  CHECK(f.published(f.request(bare)).commit == f.head);
  CHECK(f.origin.git({"--git-dir=" + bare.string(), "rev-list", "--count", target_ref}) == "4");
}
