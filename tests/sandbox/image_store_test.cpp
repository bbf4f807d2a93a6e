#include "sandbox/image_store.hpp"

#include <cstdlib>
#include <doctest/doctest.h>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include "config/encoding.hpp"
#include "sandbox/image_files.hpp"
#include "tests/executor/run_awaitable.hpp"
#include "tests/fixtures/command.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A store of the test's own, and tars to fill it with; all gone afterwards, podman's run folder
/// too.
class Fixture {
 public:
  Fixture() : store_(ImageStore::open(folder_ / "images").value()) {}
  ~Fixture() {
    std::error_code ignored;
    fs::remove_all(store_.podman().run_folder(), ignored);
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  [[nodiscard]] const ImageStore& store() const { return store_; }
  [[nodiscard]] fs::path path(std::string_view name) const { return folder_ / name; }
  [[nodiscard]] fs::path lock(const std::string& name) const {
    return folder_ / "images" / "locks" / name;
  }

  /// A root file system with busybox as its shell and `mark` in /mark.
  [[nodiscard]] fs::path root_tar(const std::string& mark) const {
    const fs::path root = path("root-" + mark);
    fixtures::write_file(root / "etc/passwd",
                         "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n");
    fixtures::write_file(root / "mark", mark);
    fs::create_directories(root / "usr/bin");
    fs::copy_file("/bin/busybox", root / "usr/bin/busybox");
    fs::create_symlink("busybox", root / "usr/bin/sh");
    fs::create_symlink("usr/bin", root / "bin");
    return tar(root, path(mark + ".tar"));
  }

  /// A docker-archive with one layer for each folder, bottom first.
  [[nodiscard]] fs::path archive(const std::string& tag, const std::vector<fs::path>& folders,
                                 const json& config) const {
    const fs::path out = path("archive");
    fs::create_directories(out);
    json diff_ids = json::array(), names = json::array();
    for (std::size_t i = 0; i < folders.size(); ++i) {
      const std::string name = "layer" + std::to_string(i) + ".tar";
      diff_ids.push_back("sha256:" + sha256_hex(fixtures::slurp(tar(folders[i], out / name))));
      names.push_back(name);
    }
    const json image = {{"architecture", "amd64"},
                        {"os", "linux"},
                        {"config", config},
                        {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
    fixtures::write_file(out / "config.json", image.dump());
    const json manifest = {{{"Config", "config.json"}, {"RepoTags", {tag}}, {"Layers", names}}};
    fixtures::write_file(out / "manifest.json", manifest.dump());
    return tar(out, path("archive.tar"));
  }

  Result<std::vector<std::string>> load(const fs::path& file, const std::string& name = {}) const {
    Cancellation cancellation;
    return run_awaitable(store_.load(file, name, cancellation));
  }
  Result<LeasedImage> ensure(std::string_view name, PullPolicy policy,
                             const PullOptions& options = {}) const {
    Cancellation cancellation;
    return run_awaitable(
        store_.ensure(ImageReference::parse(name).value(), policy, options, cancellation));
  }
  Result<PruneReport> prune(std::optional<std::chrono::seconds> older_than) const {
    Cancellation cancellation;
    return run_awaitable(store_.prune(older_than, cancellation));
  }
  std::vector<ListedImage> list() const {
    Cancellation cancellation;
    return run_awaitable(store_.list(cancellation)).value();
  }

 private:
  static fs::path tar(const fs::path& folder, const fs::path& file) {
    const auto done = fixtures::run_command({.argv = {"tar", "-C", folder.string(), "--owner=0",
                                                      "--group=0", "-cf", file.string(), "."}});
    REQUIRE(done.has_value());
    REQUIRE_MESSAGE(done->exit_code == 0, done->err);
    return file;
  }

  fixtures::TemporaryDirectory folder_;
  ImageStore store_;
};

/// While it lives no program is found in PATH.
class NoPrograms {
 public:
  NoPrograms() : path_(std::getenv("PATH")) { ::setenv("PATH", "/nonexistent", 1); }
  ~NoPrograms() { ::setenv("PATH", path_.c_str(), 1); }
  NoPrograms(const NoPrograms&) = delete;
  NoPrograms& operator=(const NoPrograms&) = delete;

 private:
  std::string path_;
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE(
    "image store: a root file system is loaded, found by its short name, and then without podman") {
  const Fixture fixture;
  CHECK(fixture.load(fixture.root_tar("first"), "demo").value() ==
        std::vector<std::string>{"localhost/demo:latest"});
  const auto image = fixture.ensure("demo", PullPolicy::if_not_present).value();
  CHECK(image.facts.name == "localhost/demo:latest");
  REQUIRE(image.facts.layers.size() == 1);
  CHECK(image.facts.digest.starts_with("sha256:"));
  CHECK(image.facts.working_dir == "/");
  const ImageFiles files(image.facts.layers);
  CHECK(files.read("/mark", 100).value() == "first");
  CHECK(files.find_program({"/bin/bash", "/bin/sh"}).value() == "/bin/sh");
  CHECK(resolve_user(image.facts.layers, "agent")->uid == 1000);

  const NoPrograms none;
  const auto again = fixture.ensure("demo", PullPolicy::if_not_present);
  REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().message));
  CHECK(again->facts == image.facts);
  CHECK_FALSE(fixture.ensure("localhost/demo", PullPolicy::never).has_value());
}

TEST_CASE("image store: a short name that only this host has is never looked for elsewhere") {
  const Fixture fixture;
  REQUIRE(fixture.load(fixture.root_tar("local"), "demo:3").has_value());
  CHECK(fixture.ensure("demo:3", PullPolicy::always)->facts.name == "localhost/demo:3");
  CHECK(fixture.ensure("localhost/demo:3", PullPolicy::always)->facts.name == "localhost/demo:3");
  CHECK(fixture.ensure("docker.io/library/demo:3", PullPolicy::never).error().code ==
        ErrorCode::not_found);
  const auto missing = fixture.ensure("localhost/other", PullPolicy::always);
  CHECK(missing.error().code == ErrorCode::not_found);
  CHECK(contains(missing.error().message, "flow-runner image load"));
}

TEST_CASE("image store: a name that is loaded again leads to the new image") {
  const Fixture fixture;
  REQUIRE(fixture.load(fixture.root_tar("first"), "demo").has_value());
  const std::string first = fixture.ensure("demo", PullPolicy::never)->facts.id;
  REQUIRE(fixture.load(fixture.root_tar("second"), "demo").has_value());
  const auto second = fixture.ensure("demo", PullPolicy::never).value();
  CHECK(second.facts.id != first);
  CHECK(ImageFiles(second.facts.layers).read("/mark", 100).value() == "second");
}

TEST_CASE("image store: an archive keeps its layers, whiteouts and configuration") {
  const Fixture fixture;
  fixtures::write_file(fixture.path("below/etc/passwd"), "agent:x:7:8::/home/agent:/bin/sh\n");
  fixtures::write_file(fixture.path("below/gone"), "x");
  fixtures::write_file(fixture.path("below/folder/old"), "x");
  fixtures::write_file(fixture.path("above/.wh.gone"), "");
  fixtures::write_file(fixture.path("above/folder/.wh..wh..opq"), "");
  fixtures::write_file(fixture.path("above/folder/new"), "new");
  fixtures::write_file(fixture.path("top/etc/passwd"), "agent:x:9:10::/srv:/bin/sh\n");
  const json config = {{"User", "agent"},
                       {"Env", {"PATH=/bin", "A=b c"}},
                       {"WorkingDir", "/srv"},
                       {"Entrypoint", {"/entry"}},
                       {"Cmd", {"one"}}};
  const auto names = fixture.load(
      fixture.archive("localhost/three:1",
                      {fixture.path("below"), fixture.path("above"), fixture.path("top")}, config));
  REQUIRE_MESSAGE(names.has_value(), (names ? "" : names.error().message));
  CHECK(*names == std::vector<std::string>{"localhost/three:1"});
  const auto facts = fixture.ensure("three:1", PullPolicy::if_not_present)->facts;
  CHECK(facts.layers.size() == 3);
  CHECK(facts.user == "agent");
  CHECK(facts.env == std::vector<std::string>{"PATH=/bin", "A=b c"});
  CHECK(facts.working_dir == "/srv");
  CHECK(facts.entrypoint == std::vector<std::string>{"/entry"});
  CHECK(facts.cmd == std::vector<std::string>{"one"});
  CHECK(resolve_user(facts.layers, facts.user).value() == ImageUser{9, 10, "/srv", {}});
  const ImageFiles files(facts.layers);
  CHECK_FALSE(files.lookup("/gone").has_value());
  CHECK_FALSE(files.lookup("/folder/old").has_value());
  CHECK(files.read("/folder/new", 10).value() == "new");
}

TEST_CASE("image store: files that are no images are refused with what to do") {
  const Fixture fixture;
  const auto without_name = fixture.load(fixture.root_tar("plain"));
  REQUIRE_FALSE(without_name.has_value());
  CHECK(without_name.error().code == ErrorCode::invalid_input);
  CHECK(contains(without_name.error().message, "--name"));

  fixtures::write_file(fixture.path("layer/x"), "x");
  const auto archive = fixture.archive("localhost/x:1", {fixture.path("layer")}, json::object());
  const auto with_name = fixture.load(archive, "wrong");
  REQUIRE_FALSE(with_name.has_value());
  CHECK(contains(with_name.error().message, "without --name"));
  CHECK(fixture.list().empty());

  CHECK(fixture.load(fixture.path("missing.tar")).error().code == ErrorCode::not_found);
  CHECK(fixture.load(archive, "Wrong Name").error().code == ErrorCode::invalid_input);
  CHECK(fixture.load(fixture.path("layer")).error().code == ErrorCode::invalid_input);
  CHECK(ImageStore::open("relative").error().code == ErrorCode::invalid_input);
  CHECK(ImageStore::open(fixture.path("a:b")).error().code == ErrorCode::invalid_input);
}

TEST_CASE("image store: prune keeps what a job has and what was used lately") {
  const Fixture fixture;
  REQUIRE(fixture.load(fixture.root_tar("held"), "held").has_value());
  REQUIRE(fixture.load(fixture.root_tar("old"), "old").has_value());
  std::optional<LeasedImage> held = fixture.ensure("held", PullPolicy::never).value();
  const std::string old_id = fixture.ensure("old", PullPolicy::never)->facts.id;

  CHECK(fixture.prune(std::chrono::hours(24))->removed.empty());
  fs::last_write_time(fixture.lock(old_id),
                      fs::file_time_type::clock::now() - std::chrono::hours(48));
  for (const ListedImage& image : fixture.list())
    CHECK(image.in_use == (image.id == held->facts.id));
  const auto aged = fixture.prune(std::chrono::hours(24)).value();
  REQUIRE(aged.removed.size() == 1);
  CHECK(aged.removed[0].id == old_id);
  CHECK_FALSE(fs::exists(fixture.lock(old_id)));
  CHECK(fixture.ensure("old", PullPolicy::never).error().code == ErrorCode::not_found);

  const auto all = fixture.prune({}).value();
  CHECK(all.removed.empty());
  REQUIRE(all.in_use.size() == 1);
  CHECK(layers_exist(held->facts));
  held.reset();
  CHECK(fixture.prune({})->removed.size() == 1);
  CHECK(fixture.list().empty());
  CHECK(fixture.ensure("held", PullPolicy::never).error().code == ErrorCode::not_found);
}

TEST_CASE("image store: a use now is the time of the last use") {
  const Fixture fixture;
  REQUIRE(fixture.load(fixture.root_tar("used"), "used").has_value());
  const std::string id = fixture.ensure("used", PullPolicy::never)->facts.id;
  fs::last_write_time(fixture.lock(id), fs::file_time_type::clock::now() - std::chrono::hours(48));
  REQUIRE(fixture.ensure("used", PullPolicy::never).has_value());
  CHECK(fixture.prune(std::chrono::hours(24))->removed.empty());
}

TEST_CASE("image store: prune sweeps what dead pulls left, and nothing young") {
  const Fixture fixture;
  fixtures::write_file(fixture.path("images/tmp/podman-dead/blob"), "x");
  fixtures::write_file(fixture.path("images/tmp/podman-alive/blob"), "x");
  fixtures::write_file(fixture.lock("pull-dead"), "");
  fixtures::write_file(fixture.lock("pull-held"), "");
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(48);
  fs::last_write_time(fixture.path("images/tmp/podman-dead"), long_ago);
  fs::last_write_time(fixture.lock("pull-dead"), long_ago);
  const auto held = try_file_lock(fixture.lock("pull-held"), LockKind::exclusive).value();
  fs::last_write_time(fixture.lock("pull-held"), long_ago);
  REQUIRE(fixture.prune(std::chrono::hours(24)).has_value());
  CHECK_FALSE(fs::exists(fixture.path("images/tmp/podman-dead")));
  CHECK(fs::exists(fixture.path("images/tmp/podman-alive")));
  CHECK_FALSE(fs::exists(fixture.lock("pull-dead")));
  CHECK(fs::exists(fixture.lock("pull-held")));
}

TEST_CASE("image store: a registry that does not answer is unavailable, also when a copy is here") {
  const Fixture fixture;
  REQUIRE(fixture.load(fixture.root_tar("copy"), "localhost:1/x:1").has_value());
  CHECK(fixture.ensure("localhost:1/x:1", PullPolicy::if_not_present)->facts.name ==
        "localhost:1/x:1");
  std::vector<std::string> lines;
  PullOptions options;
  options.on_progress = [&](std::string_view line) { lines.emplace_back(line); };
  const auto image = fixture.ensure("localhost:1/x:1", PullPolicy::always, options);
  REQUIRE_FALSE(image.has_value());
  CHECK(image.error().code == ErrorCode::unavailable);
  CHECK(contains(image.error().message, "connection refused"));
  CHECK(contains(image.error().message, "--pull if-not-present"));
  CHECK_FALSE(lines.empty());
  CHECK(fs::is_empty(fixture.path("images/tmp")));
}

TEST_CASE("image store: a pull ends at its deadline") {
  const Fixture fixture;
  PullOptions options;
  options.timeout = std::chrono::milliseconds(300);
  // podman tries a refused connection again for three seconds.
  const auto image = fixture.ensure("localhost:1/x:1", PullPolicy::if_not_present, options);
  CHECK(image.error().code == ErrorCode::timed_out);
  CHECK(contains(image.error().message, "images.pull_timeout"));
  CHECK(fs::is_empty(fixture.path("images/tmp")));
}

TEST_CASE("image store: a pull is cancelled with its job") {
  const Fixture fixture;
  boost::asio::io_context loop;
  Cancellation cancellation;
  PullOptions options;
  options.on_progress = [&](std::string_view) { cancellation.request(StopCause::canceled); };
  const auto image =
      run_awaitable(loop, fixture.store().ensure(ImageReference::parse("localhost:1/x:1").value(),
                                                 PullPolicy::always, options, cancellation));
  REQUIRE_FALSE(image.has_value());
  CHECK(image.error().code == ErrorCode::cancelled);
}

TEST_CASE("image store: a pull that would fill the disk is stopped") {
  const Fixture fixture;
  PullOptions options;
  options.free_space_floor = UINT64_MAX - 1;
  const auto image = fixture.ensure("localhost:1/x:1", PullPolicy::always, options);
  REQUIRE_FALSE(image.has_value());
  CHECK(image.error().code == ErrorCode::unavailable);
  CHECK(contains(image.error().message, "image prune"));
}

TEST_CASE("image store: credentials that cannot be read are named") {
  const Fixture fixture;
  PullOptions options;
  options.auth_file = fixture.path("no-auth.json");
  const auto image = fixture.ensure("localhost:1/x:1", PullPolicy::if_not_present, options);
  CHECK(image.error().code == ErrorCode::invalid_input);
  CHECK(contains(image.error().message, "no-auth.json"));
}

TEST_CASE("image store: who waited for another's pull finds the image") {
  const Fixture fixture;
  const auto tar = fixture.root_tar("waited");
  const std::string name = "localhost:1/waited:1";
  std::optional<Descriptor> other =
      try_file_lock(fixture.lock("pull-" + sha256_hex(name)), LockKind::exclusive).value();
  REQUIRE(other);

  boost::asio::io_context loop;
  Cancellation cancellation;
  std::optional<Result<LeasedImage>> found;
  boost::asio::co_spawn(
      loop,
      fixture.store().ensure(ImageReference::parse(name).value(), PullPolicy::if_not_present, {},
                             cancellation),
      [&](const std::exception_ptr&, Result<LeasedImage> image) { found = std::move(image); });
  boost::asio::co_spawn(
      loop, fixture.store().load(tar, name, cancellation),
      [&](const std::exception_ptr&, const Result<std::vector<std::string>>& loaded) {
        CHECK(loaded.has_value());
        CHECK_FALSE(found.has_value());
        other.reset();
      });
  loop.run();
  REQUIRE(found.has_value());
  REQUIRE_MESSAGE(found->has_value(), (*found ? "" : found->error().message));
  CHECK((*found)->facts.name == name);
}

TEST_CASE("image store: the wait for another's pull ends at the deadline and with the job") {
  const Fixture fixture;
  const std::string name = "localhost:1/x:1";
  const auto other =
      try_file_lock(fixture.lock("pull-" + sha256_hex(name)), LockKind::exclusive).value();
  REQUIRE(other);
  PullOptions options;
  options.timeout = std::chrono::milliseconds(50);
  const auto late = fixture.ensure(name, PullPolicy::if_not_present, options);
  CHECK(late.error().code == ErrorCode::timed_out);
  CHECK(contains(late.error().message, name));

  boost::asio::io_context loop;
  Cancellation cancellation;
  boost::asio::post(loop, [&] { cancellation.request(StopCause::canceled); });
  const auto cancelled =
      run_awaitable(loop, fixture.store().ensure(ImageReference::parse(name).value(),
                                                 PullPolicy::always, {}, cancellation));
  CHECK(cancelled.error().code == ErrorCode::cancelled);
}

TEST_CASE(
    "image store: locks are shared by readers, exclusive for one, and survive their file's "
    "removal") {
  const Fixture fixture;
  const fs::path file = fixture.lock("some");
  auto first = try_file_lock(file, LockKind::shared).value();
  auto second = try_file_lock(file, LockKind::shared).value();
  CHECK((first && second));
  CHECK_FALSE(try_file_lock(file, LockKind::exclusive)->has_value());
  first.reset();
  second.reset();
  auto alone = try_file_lock(file, LockKind::exclusive).value();
  CHECK(alone);
  CHECK_FALSE(try_file_lock(file, LockKind::shared)->has_value());
  fs::remove(file);
  CHECK(try_file_lock(file, LockKind::shared)->has_value());
}

TEST_CASE("image store: a folder that moved still works") {
  const Fixture fixture;
  REQUIRE(fixture.load(fixture.root_tar("moved"), "demo").has_value());
  const fs::path moved = fixture.path("elsewhere");
  fs::rename(fixture.path("images"), moved);
  const auto store = ImageStore::open(moved).value();
  Cancellation cancellation;
  const auto image = run_awaitable(
      store.ensure(ImageReference::parse("demo").value(), PullPolicy::never, {}, cancellation));
  REQUIRE_MESSAGE(image.has_value(), (image ? "" : image.error().message));
  CHECK(image->facts.layers[0].string().starts_with(moved.string()));
  fs::remove_all(store.podman().run_folder());
}
