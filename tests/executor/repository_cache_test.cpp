#include "executor/repository_cache.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "executor/repository_folder.hpp"
#include "executor/repository_refs.hpp"
#include "tests/executor/run_awaitable.hpp"
#include "tests/fixtures/git_repository.hpp"
#include "tests/fixtures/git_server.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A repository with a main branch of two commits, a tag and a workload branch, and a cache beside
/// it.
struct Fixture {
  fixtures::TemporaryDirectory folder;
  fixtures::GitRepository origin{folder / "origin"};
  RepositoryCache cache{folder / "cache"};
  std::string first = origin.write("a.txt", "one\n").commit("first");
  std::string second = origin.write("b.txt", "two\n").commit("second");

  [[nodiscard]] RepositorySpec spec(std::string ref = "") const {
    RepositorySpec result;
    result.url = origin.path();
    result.ref = std::move(ref);
    return result;
  }
  [[nodiscard]] static RepositoryOptions options() {
    RepositoryOptions result;
    result.git_worker = fixtures::program("flow-runner-git");
    result.deadline = 60s;
    return result;
  }
  Result<PreparedRepository> prepare(const RepositorySpec& wanted,
                                     const std::string& workload_ref = "",
                                     const RepositoryOptions& how = options(),
                                     const std::string& source = "exec") {
    Cancellation cancellation;
    return run_awaitable(cache.prepare(wanted, workload_ref, source, how, cancellation));
  }
  PreparedRepository ready(const RepositorySpec& wanted, const std::string& workload_ref = "") {
    auto prepared = prepare(wanted, workload_ref);
    REQUIRE_MESSAGE(prepared.has_value(), prepared.error().message);
    return std::move(*prepared);
  }
  [[nodiscard]] std::size_t snapshots(const fs::path& mirror) const {
    return RepositoryFolder(mirror.parent_path()).list_snapshots().value().size();
  }
};

void age(const fs::path& path, std::chrono::hours hours) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - hours);
}

}  // namespace

TEST_CASE("repository cache: the first job fetches and checks out, the second only asks") {
  Fixture f;
  const auto first = f.ready(f.spec());
  CHECK(first.commit == f.second);
  CHECK(first.default_branch == "main");
  CHECK(first.default_tip == f.second);
  CHECK_FALSE(first.workload_tip);
  CHECK(first.project_path == "local/origin");
  CHECK(first.fetched);
  CHECK_FALSE(first.shallow);
  CHECK(first.lease.held());
  REQUIRE(first.layers.size() == 1);
  CHECK(fixtures::slurp(first.layers[0] / "b.txt") == "two\n");
  CHECK(first.snapshot.commit == f.second);

  auto options = Fixture::options();
  options.git_worker = "/nonexistent";
  const auto again = f.prepare(f.spec(), "", options);
  REQUIRE(again.has_value());
  CHECK_FALSE(again->fetched);
  CHECK(again->layers == first.layers);
}

TEST_CASE("repository cache: a branch, a tag, a full ref and a commit are found") {
  Fixture f;
  f.origin.git({"branch", "side", f.first});
  f.origin.git({"tag", "-a", "-m", "release", "v1", f.first});
  f.origin.git({"update-ref", "refs/workloads/x", f.first});
  for (const std::string& ref :
       {std::string("side"), std::string("v1"), std::string("refs/heads/side"),
        std::string("refs/tags/v1"), std::string("refs/workloads/x"), f.first}) {
    CAPTURE(ref);
    const auto prepared = f.ready(f.spec(ref));
    CHECK(prepared.commit == f.first);
    CHECK(prepared.default_tip == f.second);
    CHECK_FALSE(fs::exists(prepared.layers.back() / "b.txt"));
  }
  CHECK(f.ready(f.spec("HEAD")).commit == f.second);
}

TEST_CASE("repository cache: the workload ref's tip is in the mirror") {
  Fixture f;
  f.origin.git({"checkout", "-q", "-b", "workloads/w"});
  const auto tip = f.origin.write("w", "w").commit("work");
  f.origin.git({"checkout", "-q", "main"});
  const auto prepared = f.ready(f.spec(), "refs/heads/workloads/w");
  CHECK(prepared.workload_tip == tip);
  CHECK(prepared.commit == f.second);
  CHECK(RepositoryFolder(prepared.mirror.parent_path()).has_history(tip, 0));
}

TEST_CASE(
    "repository cache: a new commit of a known repository becomes a layer on the full snapshot") {
  Fixture f;
  for (int i = 0; i < 40; ++i) f.origin.write("f" + std::to_string(i), "x\n");
  f.origin.commit("many");
  const auto full = f.ready(f.spec());
  REQUIRE(full.layers.size() == 1);
  const auto third = f.origin.write("a.txt", "changed\n").commit("third");
  const auto delta = f.ready(f.spec());
  CHECK(delta.commit == third);
  REQUIRE(delta.layers.size() == 2);
  CHECK(delta.layers[0] == full.layers[0]);
  CHECK(fixtures::slurp(delta.layers[1] / "a.txt") == "changed\n");
  CHECK(delta.snapshot.base_commit == full.commit);
}

TEST_CASE("repository cache: a job that asks for depth gets it, a later one for all gets all") {
  Fixture f;
  auto shallow = f.spec();
  shallow.depth = 1;
  // A local path ignores nothing here: upload-pack cuts the history as over a network.
  const auto cut = f.ready(shallow);
  CHECK(cut.shallow);
  const RepositoryFolder folder(cut.mirror.parent_path());
  CHECK(folder.has_history(f.second, 1));
  CHECK_FALSE(folder.has_history(f.second, 2));
  CHECK_FALSE(folder.has_history(f.second, 0));
  const auto whole = f.ready(f.spec());
  CHECK(whole.fetched);
  CHECK_FALSE(whole.shallow);
  CHECK(folder.has_history(f.second, 50));
  CHECK_FALSE(f.ready(shallow).fetched);
}

TEST_CASE("repository cache: a developer's shallow clone can be the source") {
  Fixture f;
  fixtures::GitRepository(f.folder / "outer")
      .git({"clone", "-q", "--depth=1", "file://" + f.origin.path().string(),
            (f.folder / "cut").string()});
  auto spec = f.spec();
  spec.url = f.folder / "cut";
  const auto prepared = f.ready(spec);
  CHECK(prepared.commit == f.second);
  CHECK(prepared.shallow);
}

TEST_CASE(
    "repository cache: uncommitted files are captured, with the commit that HEAD names below") {
  Fixture f;
  f.origin.write("a.txt", "edited\n").write("untracked", "u\n");
  auto spec = f.spec();
  spec.include_work_tree = true;
  const auto prepared = f.ready(spec);
  REQUIRE(prepared.capture);
  CHECK(prepared.capture->head == f.second);
  CHECK(prepared.capture->dirty_count == 2);
  CHECK(prepared.commit == prepared.capture->commit);
  CHECK(prepared.commit != f.second);
  CHECK(fixtures::slurp(prepared.layers.back() / "untracked") == "u\n");
  CHECK(fixtures::slurp(f.origin.path() / "a.txt") == "edited\n");

  spec.url = "https://host.example/p";
  CHECK(f.prepare(spec).error().code == ErrorCode::invalid_input);
}

TEST_CASE("repository cache: what is not there is named") {
  Fixture f;
  const auto no_ref = f.prepare(f.spec("nobody"));
  CHECK(no_ref.error().code == ErrorCode::not_found);
  CHECK(no_ref.error().message.find("'nobody'") != std::string::npos);
  CHECK(f.prepare(f.spec(f.first.substr(0, 12))).error().message.find("40 digits") !=
        std::string::npos);
  CHECK(f.prepare(f.spec(std::string(40, 'a'))).error().code == ErrorCode::not_found);
  CHECK(f.prepare(f.spec("a..b")).error().code == ErrorCode::invalid_input);
  CHECK(f.prepare(f.spec(), "refs/heads/*").error().code == ErrorCode::invalid_input);
  auto absent = f.spec();
  absent.url = f.folder / "absent";
  CHECK(f.prepare(absent).error().code == ErrorCode::not_found);

  fixtures::GitRepository empty(f.folder / "empty");
  absent.url = empty.path();
  const auto nothing = f.prepare(absent);
  CHECK(nothing.error().code == ErrorCode::not_found);
  CHECK(nothing.error().message.find("no commits") != std::string::npos);
}

TEST_CASE("repository cache: a detached HEAD names no default branch, a dangling one no commit") {
  Fixture f;
  f.origin.git({"checkout", "-q", "--detach", f.first});
  const auto detached = f.ready(f.spec());
  CHECK(detached.commit == f.first);
  CHECK(detached.default_branch.empty());
  CHECK_FALSE(detached.default_tip);
  auto named = f.spec();
  named.default_branch = "main";
  CHECK(f.ready(named).default_tip == f.second);

  f.origin.git({"symbolic-ref", "HEAD", "refs/heads/absent"});
  const auto dangling = f.prepare(f.spec());
  CHECK(dangling.error().code == ErrorCode::not_found);
  CHECK(dangling.error().message.find("--ref") != std::string::npos);
  CHECK(f.ready(f.spec("main")).commit == f.second);
}

TEST_CASE("repository cache: the token is checked even when all is cached") {
  Fixture f;
  auto server = fixtures::GitServer::start(f.folder / "server");
  REQUIRE(server.has_value());
  REQUIRE(server->create_repository("group/project", f.origin.path()).has_value());
  auto spec = f.spec();
  spec.url = server->url("group/project");
  spec.token = Secret(server->read_token());
  auto options = Fixture::options();
  options.ca_file = server->ca_file();
  const auto prepared = f.prepare(spec, "", options);
  REQUIRE_MESSAGE(prepared.has_value(), prepared.error().message);
  CHECK(prepared->project_path == "group/project");
  // A commit by its id would be found without asking anybody.
  spec.ref = f.second;
  CHECK_FALSE(f.prepare(spec, "", options)->fetched);
  spec.token = Secret("glpat-of-somebody-else");
  CHECK(f.prepare(spec, "", options).error().code == ErrorCode::denied);
  spec.token = Secret();
  CHECK(f.prepare(spec, "", options).error().code == ErrorCode::denied);
  // Nothing of the token is on disk.
  for (const auto& entry : fs::recursive_directory_iterator(f.folder / "cache"))
    if (entry.is_regular_file())
      CHECK(fixtures::slurp(entry.path()).find(server->read_token()) == std::string::npos);
}

TEST_CASE("repository cache: each source and address has a folder of its own") {
  const RepositoryCache cache("/state");
  const auto one = cache.folder("exec", "https://host/group/project");
  CHECK(one.filename().string().starts_with("https-host-group-project-"));
  CHECK(one != cache.folder("gitlab", "https://host/group/project"));
  CHECK(one != cache.folder("exec", "https://host/group/project2"));
  const auto odd = cache.folder("exec", "/x/.tmp-a/" + std::string(300, 'b')).filename().string();
  CHECK(odd.size() < 64);
  CHECK(odd.find(temporary_mark) == std::string::npos);
}

TEST_CASE(
    "repository cache: a job waits for another one's fetch until its deadline or its "
    "cancellation") {
  Fixture f;
  const auto prepared = f.ready(f.spec());
  f.origin.write("c", "c").commit("third");
  const RepositoryFolder folder(prepared.mirror.parent_path());
  const auto other = try_lock(folder.fetch_lock(), LockMode::exclusive);
  REQUIRE(other->outcome == LockOutcome::held);

  auto options = Fixture::options();
  // Asking the remote comes before the wait, and has to fit in as well.
  options.deadline = 5s;
  std::vector<std::string> lines;
  options.on_progress = [&](std::string_view line) { lines.emplace_back(line); };
  CHECK(f.prepare(f.spec(), "", options).error().code == ErrorCode::timed_out);
  REQUIRE_FALSE(lines.empty());
  CHECK(lines.back().find("waiting for another job") != std::string::npos);

  Cancellation cancellation;
  options.deadline = 60s;
  options.on_progress = [&](std::string_view) { cancellation.request(StopCause::canceled); };
  const auto spec = f.spec();
  const std::string none;
  const std::string source = "exec";
  CHECK(run_awaitable(f.cache.prepare(spec, none, source, options, cancellation)).error().code ==
        ErrorCode::cancelled);
}

TEST_CASE("repository cache: a snapshot without its base is made again") {
  Fixture f;
  for (int i = 0; i < 40; ++i) f.origin.write("f" + std::to_string(i), "x\n");
  f.origin.commit("many");
  const auto full = f.ready(f.spec()).layers.at(0).parent_path();
  f.origin.write("a.txt", "changed\n").commit("third");
  REQUIRE(f.ready(f.spec()).layers.size() == 2);
  fs::remove_all(full);
  const auto again = f.ready(f.spec());
  REQUIRE(again.layers.size() == 1);
  CHECK(fixtures::slurp(again.layers[0] / "a.txt") == "changed\n");
}

TEST_CASE(
    "repository cache: eviction removes what is old, deltas before their base, and nothing in "
    "use") {
  Fixture f;
  for (int i = 0; i < 40; ++i) f.origin.write("f" + std::to_string(i), "x\n");
  f.origin.commit("many");
  std::optional<PreparedRepository> full = f.ready(f.spec());
  f.origin.write("a.txt", "changed\n").commit("third");
  std::optional<PreparedRepository> delta = f.ready(f.spec());
  REQUIRE(delta->layers.size() == 2);
  const auto mirror = full->mirror;
  const auto full_path = full->layers[0].parent_path();
  const auto delta_path = delta->layers[1].parent_path();
  full.reset();
  age(full_path, 48h);
  age(delta_path, 48h);

  // In use: the delta's lease holds both.
  CHECK(f.cache.evict(24h, 0)->snapshots == 0);
  CHECK(f.snapshots(mirror) == 2);
  delta.reset();

  // The base is old, its delta was used just now.
  age(full_path, 48h);
  age(delta_path, 0h);
  CHECK(f.cache.evict(24h, UINT64_MAX)->snapshots == 0);
  age(delta_path, 48h);
  const auto report = f.cache.evict(24h, UINT64_MAX);
  CHECK(report->snapshots == 2);
  CHECK(report->mirrors == 0);
  CHECK(report->bytes_kept == 0);
  CHECK(f.snapshots(mirror) == 0);

  // The mirror is still good for the next job, and goes when it is old too.
  CHECK_FALSE(f.ready(f.spec()).fetched);
  age(mirror.parent_path(), 48h);
  for (const auto& entry : fs::directory_iterator(mirror.parent_path() / "snapshots"))
    age(entry.path(), 48h);
  const auto last = f.cache.evict(24h, UINT64_MAX);
  CHECK(last->snapshots == 1);
  CHECK(last->mirrors == 1);
  CHECK_FALSE(fs::exists(mirror.parent_path()));
  CHECK(f.ready(f.spec()).fetched);
}

TEST_CASE("repository cache: eviction by size takes the least recently used first") {
  Fixture f;
  const auto old_path = f.ready(f.spec(f.first)).layers[0].parent_path();
  f.origin.git({"checkout", "-q", "--orphan", "other"});
  f.origin.git({"rm", "-q", "-r", "-f", "."});
  for (int i = 0; i < 40; ++i) f.origin.write("o" + std::to_string(i), std::string(1000, 'o'));
  f.origin.commit("other");
  const auto prepared = f.ready(f.spec());
  const auto new_path = prepared.layers.back().parent_path();
  age(old_path, 2h);
  const auto mirror = prepared.mirror;
  const auto new_bytes =
      RepositoryFolder(mirror.parent_path()).read_snapshot(prepared.commit).value()->bytes;
  const auto report = f.cache.evict(24h, new_bytes);
  CHECK(report->snapshots == 1);
  CHECK_FALSE(fs::exists(old_path));
  CHECK(fs::exists(new_path));
}

TEST_CASE(
    "repository cache: what crashed processes left is removed, what a live one makes is not") {
  Fixture f;
  const auto prepared = f.ready(f.spec());
  const RepositoryFolder folder(prepared.mirror.parent_path());
  const auto leftover = fs::path(folder.snapshot(f.first).string() + ".tmp-dead");
  fixtures::write_file(leftover / "tree/x", "x");
  {
    const auto busy = try_lock(folder.fetch_lock(), LockMode::exclusive);
    REQUIRE(f.cache.evict(24h, UINT64_MAX).has_value());
    CHECK(fs::exists(leftover));
  }
  CHECK(f.cache.evict(24h, UINT64_MAX)->leftovers == 1);
  CHECK_FALSE(fs::exists(leftover));
  CHECK(f.snapshots(prepared.mirror) == 1);
  CHECK(RepositoryCache(f.folder / "never-made").evict(1h, 0)->snapshots == 0);
}
