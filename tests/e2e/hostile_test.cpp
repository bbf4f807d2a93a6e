// Hostile workspaces: what an agent gone wrong leaves behind must not run, be read, or be published
// on the host; what should stop stops with its cause; the work is kept; the next job works.
#include <doctest/doctest.h>
#include <filesystem>
#include <string>

#include "config/encoding.hpp"
#include "tests/e2e/exec_fixture.hpp"

using namespace flow_runner;
using e2e::ExecFixture;
using e2e::ExecRun;
namespace fs = std::filesystem;

namespace {

constexpr const char* identity =
    "git config user.name Agent; git config user.email agent@example.com";

void is_refused_and_kept(const ExecFixture& test, const ExecRun& ran) {
  CHECK(ran.exit_code == 1);
  CHECK_MESSAGE(ran.cause() == "publish_refused", ran.log);
  CHECK_FALSE(test.pushed());
  REQUIRE(ran.result["bundle"].is_object());
  CHECK(fs::exists(ran.result["bundle"]["path"].get<std::string>()));
}

}  // namespace

TEST_CASE("hostile: a poisoned .git/config runs nothing on the host") {
  ExecFixture test;
  const std::string mark = test.folder() / "pwned";
  const std::string payload = "touch " + mark;
  test.flow(
      {identity, "git config core.fsmonitor '" + payload + "'",
       "git config filter.evil.clean '" + payload + "; cat'; git config filter.evil.smudge '" +
           payload + "; cat'",
       "echo '* filter=evil diff=evil' > .gitattributes; git config diff.evil.textconv '" +
           payload + "'",
       "git config core.hooksPath .hooks; mkdir .hooks; for h in pre-commit pre-push post-checkout "
       "reference-transaction; do printf '#!/bin/sh\\n" +
           payload + "\\n' > .hooks/$h; chmod +x .hooks/$h; done",
       "git config core.sshCommand '" + payload + "'; git config include.path " + mark + ".conf",
       "git config credential.helper '!" + payload + "'; git config uploadpack.packObjectsHook '" +
           payload + "'",
       "echo work > work.txt"});
  const auto ran = test.push();
  CHECK_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().show("workloads/test", "work.txt") == "work");
  CHECK_FALSE(fs::exists(mark));
  test.next_job_works();
}

TEST_CASE("hostile: a .git that is a file, a link or gone stops the push, and the files are kept") {
  ExecFixture test;
  std::string command;
  SUBCASE("a file that points to the host") { command = "rm -rf .git; echo 'gitdir: /etc' > .git"; }
  SUBCASE("a link to the host") { command = "rm -rf .git; ln -s / .git"; }
  SUBCASE("nothing") { command = "rm -rf .git"; }
  SUBCASE("a HEAD that is a FIFO") { command = "rm .git/HEAD; mkfifo .git/HEAD"; }
  SUBCASE("refs that are FIFOs") {
    command = "rm -f .git/packed-refs; mkfifo .git/packed-refs .git/refs/heads/x";
  }
  INFO(command);
  test.flow({"echo work > work.txt", command});
  const auto ran = test.push();
  if (ran.cause() == "none") {
    // Refs beside HEAD are not needed to publish; then everything must be right.
    CHECK(test.origin().show("workloads/test", "work.txt") == "work");
  } else {
    is_refused_and_kept(test, ran);
  }
  test.next_job_works();
}

TEST_CASE("hostile: alternates and links to the host bring no foreign object into the push") {
  ExecFixture test;
  fixtures::GitRepository victim(test.folder() / "victim");
  victim.write("private.txt", "the host's own secret\n");
  victim.commit("private");
  victim.git({"repack", "-adq"});
  const auto blob = victim.id("HEAD:private.txt");
  const std::string objects = victim.path() / ".git/objects";
  std::string link;
  SUBCASE("alternates") { link = "echo " + objects + " > .git/objects/info/alternates"; }
  SUBCASE("a linked pack folder") {
    link = "rm -rf .git/objects/pack; ln -s " + objects + "/pack .git/objects/pack";
  }
  SUBCASE("linked packs") {
    link = "for f in $(seq 1 3); do ln -s " + objects +
           "/pack/*.pack .git/objects/pack/pack-$f.pack; done";
  }
  test.flow({identity, "git update-index --add --cacheinfo 100644," + blob + ",stolen.txt",
             "tree=$(git write-tree --missing-ok); c=$(git commit-tree -p HEAD -m stolen $tree); "
             "echo $c > .git/HEAD",
             link, "echo work > work.txt"});
  const auto ran = test.push();
  is_refused_and_kept(test, ran);
  CHECK_FALSE(ran.log_has("the host's own secret"));
  const auto found =
      fixtures::run_command({.argv = {"grep", "-rl", "the host's own secret",
                                      ran.result["bundle"]["path"].get<std::string>()}});
  CHECK(found->out.empty());
  test.next_job_works();
}

TEST_CASE("hostile: links in the work tree are published as links, never followed") {
  ExecFixture test;
  fixtures::write_file(test.folder() / "outside.txt", "outside\n");
  test.flow({"ln -s " + (test.folder() / "outside.txt").string() +
             " link; ln -s /etc etc; rm README.md; ln -s /etc/shadow README.md"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().git({"ls-tree", "workloads/test", "link"}).substr(0, 6) == "120000");
  CHECK(test.origin().git({"ls-tree", "workloads/test", "etc"}).substr(0, 6) == "120000");
  CHECK(test.origin().show("workloads/test", "README.md") == "/etc/shadow");
}

TEST_CASE("hostile: FIFOs, sockets and a FIFO called .gitignore hang nothing") {
  ExecFixture test;
  test.flow({"mkfifo pipe .gitignore .gitattributes src/.gitignore; echo work > work.txt",
             "perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0); bind(S,sockaddr_un(\"sock\"))'"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(ran.changes() == std::vector<std::string>{"A work.txt"});
  CHECK(ran.log_has("pipe"));
}

TEST_CASE("hostile: a broken .idx is not used") {
  ExecFixture test;
  test.flow({identity,
             "echo packed > packed.txt; git add .; git commit -qm packed; git repack -adlq",
             "f=$(ls .git/objects/pack/*.idx); chmod +w $f; printf '\\377\\377\\377\\377' | dd "
             "of=$f bs=1 seek=1032 conv=notrunc 2>/dev/null"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().show("workloads/test", "packed.txt") == "packed");
}

TEST_CASE("hostile: an object that inflates to gigabytes is refused, not inflated") {
  ExecFixture test;
  test.flow({identity,
             "git config core.bigFileThreshold 1m; git config core.compression 9; git config "
             "core.loosecompression 9",
             "blob=$(head -c 1200000000 /dev/zero | git hash-object -w --stdin)",
             "git update-index --add --cacheinfo 100644,$blob,bomb; c=$(git commit-tree -p HEAD -m "
             "bomb $(git write-tree)); echo $c > .git/HEAD",
             "echo work > work.txt"});
  const auto ran = test.push();
  CHECK(ran.exit_code == 1);
  CHECK_FALSE(test.pushed());
  test.next_job_works();
}

TEST_CASE("hostile: tree entries called .git or .. are refused") {
  ExecFixture test;
  std::string name;
  SUBCASE("..") { name = ".."; }
  SUBCASE(".git") { name = ".git"; }
  SUBCASE(".GIT") { name = ".GIT"; }
  test.flow(
      {identity,
       "blob=$(echo x | git hash-object -w --stdin); t=$(printf '100644 blob %s\\t" + name +
           "\\n' $blob | git mktree); c=$(git commit-tree -p HEAD -m evil $t); echo $c > .git/HEAD",
       "echo work > work.txt"});
  is_refused_and_kept(test, test.push());
  test.next_job_works();
}

TEST_CASE("hostile: a sparse checkout does not publish the hidden files as deleted") {
  ExecFixture test;
  test.flow(
      {"git sparse-checkout set --no-cone /README.md; test ! -e src/main.c; echo work >> "
       "README.md"});
  const auto ran = test.push();
  for (const auto& change : ran.changes()) CHECK_MESSAGE(change.substr(0, 1) != "D", ran.log);
}

TEST_CASE("hostile: .gitattributes convert nothing") {
  ExecFixture test;
  test.flow(
      {"printf '* text=auto eol=crlf ident\\n' > .gitattributes; printf 'a\\r\\nb\\n$Id$\\n' > "
       "mixed.txt"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().show("workloads/test", "mixed.txt") == "a\r\nb\n$Id$");
}

TEST_CASE("hostile: a nested repository's files are not lost") {
  ExecFixture test;
  test.flow(
      {"git init -q vendor/lib; echo lib > vendor/lib/lib.c; git -C vendor/lib -c user.name=a -c "
       "user.email=a@b "
       "commit -q --allow-empty -m nested"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().show("workloads/test", "vendor/lib/lib.c") == "lib");
  CHECK(ran.log_has("vendor/lib"));
}

TEST_CASE("hostile: an amended base is not published, and nothing of it is lost") {
  ExecFixture test;
  const auto base = test.origin().id("main");
  test.flow(
      {identity,
       "echo amended > amended.txt; git add .; git commit -q --amend -m 'Rewritten history'"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(test.origin().id("workloads/test~1") == base);
  CHECK(test.origin().show("workloads/test", "amended.txt") == "amended");
  CHECK(ran.result["bundle"].is_object());
}

TEST_CASE("hostile: a protected path stops the push, even when a later commit takes it back") {
  ExecFixture test;
  SUBCASE("left in the work tree") { test.flow({"echo 'x: {script: evil}' > .gitlab-ci.yml"}); }
  SUBCASE("committed and reverted") {
    test.flow({identity,
               "echo evil > .gitlab-ci.yml; git add .; git commit -qm evil; git rm -q "
               ".gitlab-ci.yml; git commit -qm back"});
  }
  const auto ran = test.push();
  is_refused_and_kept(test, ran);
  CHECK(ran.log_has(".gitlab-ci.yml"));
}

TEST_CASE("hostile: a merge that brings an old protected file back is stopped") {
  ExecFixture test;
  fixtures::GitRepository project = test.project();
  project.write(".gitlab-ci.yml", "old: {}\n");
  project.commit("Old pipeline");
  project.write(".gitlab-ci.yml", "new: {}\n");
  project.commit("New pipeline");
  project.git({"push", "-q", test.origin().path().string(), "main"});
  test.flow({identity,
             "c=$(git commit-tree -p HEAD~1 -p HEAD -m merge 'HEAD~1^{tree}'); git checkout -q "
             "--detach $c"});
  const auto ran = test.push();
  is_refused_and_kept(test, ran);
  CHECK(ran.log_has(".gitlab-ci.yml"));
}

TEST_CASE(
    "hostile: what the guard found in a failed job or a dry run stands in the way of publish too") {
  ExecFixture test;
  const std::vector<std::string> environment = {"API_TOKEN=a-very-secret-value-0123"};
  ExecRun ran;
  SUBCASE("failed job") {
    test.flow({"echo $API_TOKEN > leak.txt; exit 3"}, {"API_TOKEN"});
    ran = test.push({"--secret", "API_TOKEN"}, environment);
    CHECK(ran.cause() == "script_failure");
  }
  SUBCASE("dry run") {
    test.flow({"echo $API_TOKEN > leak.txt"}, {"API_TOKEN"});
    ran = test.exec({"--repo", test.origin().path(), "--secret", "API_TOKEN", "--workload-ref",
                     "workloads/test"},
                    environment);
  }
  CHECK(ran.log_has("API_TOKEN"));
  const auto published = test.run({"publish", ran.result["id"].get<std::string>()});
  CHECK(published.exit_code != 0);
  CHECK_FALSE(test.pushed());
}

TEST_CASE("hostile: a job that uses up inotify instances or holds leases stops nobody") {
  ExecFixture test;
  test.flow(
      {"perl -e 'for (1..200) { syscall(294, 0) >= 0 or last } "
       "opendir(D, \"/run/flow-runner-objects/pack\"); my $n = 0; "
       "for (readdir D) { open(my $f, \"<\", \"/run/flow-runner-objects/pack/$_\") or next; "
       "fcntl($f, 1024, 1) and $n++; push @k, $f } print \"leases $n\\n\"; sleep 3'",
       "echo work > work.txt"});
  auto holder = fixtures::ChildProcess::start(test.push_spec());
  REQUIRE(holder.has_value());
  ExecFixture other;
  other.next_job_works();
  const auto ended = holder->wait(std::chrono::seconds(60));
  REQUIRE(ended.has_value());
  CHECK(*ended == 0);
}

TEST_CASE("hostile: the default branch is no workload ref") {
  ExecFixture test;
  test.flow({"echo started"});
  const auto ran = test.push({"--workload-ref", "main"});
  CHECK(ran.exit_code != 0);
  CHECK_FALSE(ran.log_has("\nstarted"));
}

TEST_CASE("hostile: a secret in what would be published stops the push, named but not shown") {
  ExecFixture test;
  const std::string secret = "a-very-secret-value-0123";
  std::string command;
  SUBCASE("in base64") {
    command = "printf 'one\\ntwo %s\\n' \"$(printf %s \"$API_TOKEN\" | base64)\" > leak.txt";
  }
  SUBCASE("in a message") {
    command =
        std::string(identity) + "; echo x > x; git add x; git commit -qm \"token $API_TOKEN\"";
  }
  SUBCASE("in a path") { command = "echo x > \"$API_TOKEN.txt\""; }
  SUBCASE("in a commit that a later one takes back") {
    command = std::string(identity) +
              "; echo $API_TOKEN > t; git add t; git commit -qm t; git rm -qf t; git commit -qm u";
  }
  test.flow({command}, {"API_TOKEN"});
  const auto ran = test.push({"--secret", "API_TOKEN"}, {"API_TOKEN=" + secret});
  is_refused_and_kept(test, ran);
  CHECK(ran.log_has("API_TOKEN"));
  CHECK_FALSE(ran.log_has(secret));
  CHECK(ran.result.dump().find(secret) == std::string::npos);
  CHECK(ran.result.dump().find(base64_encode(secret).substr(0, 20)) == std::string::npos);
}

TEST_CASE("hostile: a log of 200 MB is cut, marked, and its tail kept; the job goes on") {
  ExecFixture test;
  test.flow({"head -c 200000000 /dev/zero | tr '\\0' 'x' | fold -w 99",
             "echo the end; echo work > work.txt"});
  const auto ran = test.push();
  REQUIRE_MESSAGE(ran.exit_code == 0,
                  ran.log.substr(ran.log.size() - std::min<std::size_t>(ran.log.size(), 2000)));
  CHECK(ran.result["log"]["truncated"] == true);
  CHECK(ran.result["log"]["bytes"].get<std::uint64_t>() < 68'000'000);
  CHECK(ran.log_has("the end\n"));
  CHECK(test.pushed());
}

TEST_CASE("hostile: a fork bomb and kill -9 -1 harm nobody else") {
  ExecFixture test;
  SUBCASE("fork bomb") {
    test.flow({"echo work > work.txt", "bomb() { bomb | bomb & }; bomb; sleep 2"});
    const auto ran = test.push({"--pids", "200", "--timeout", "20s"});
    CHECK(ran.result.is_object());
  }
  SUBCASE("kill everything") {
    test.flow({"echo work > work.txt", "kill -9 -1; echo survived"});
    const auto ran = test.push();
    CHECK(ran.result.is_object());
  }
  test.next_job_works();
}
