// Disk limits on real file systems: what the walk counts, when the watch calls, what a quota does.
#include "sandbox/disk_limit.hpp"

#include <cerrno>
#include <cstring>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <optional>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "sandbox/descriptor.hpp"
#include "sandbox/disk_usage.hpp"
#include "sandbox/project_quota.hpp"
#include "tests/fixtures/command.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
namespace asio = boost::asio;
using namespace std::chrono_literals;
using fixtures::TemporaryDirectory;

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

void write_bytes(const std::filesystem::path& file, std::uint64_t bytes) {
  auto fd = open_file(file, O_WRONLY | O_CREAT | O_APPEND);
  REQUIRE(fd.has_value());
  REQUIRE(write_all(fd->get(), std::string(bytes, 'x')).has_value());
}

struct Walked {
  DiskCount count;
  int steps = 0;
};

Walked walk(const std::filesystem::path& root, std::chrono::nanoseconds budget = 1h) {
  auto walk = TreeWalk::open(root);
  REQUIRE(walk.has_value());
  Walked result;
  WalkState state = WalkState::going_on;
  for (; state == WalkState::going_on; ++result.steps) state = walk->step(budget);
  CHECK(state == WalkState::done);
  result.count = walk->count();
  return result;
}

/// Runs the loop until the limit calls or `deadline` has passed.
std::optional<DiskExhaustion> watched(asio::io_context& loop, DiskLimit& limit,
                                      std::chrono::milliseconds deadline) {
  std::optional<DiskExhaustion> seen;
  limit.watch([&](const DiskExhaustion& exhaustion) {
    CHECK_FALSE(seen.has_value());
    seen = exhaustion;
    loop.stop();
  });
  loop.restart();
  loop.run_for(deadline);
  return seen;
}

DiskLimit limit_for(asio::io_context& loop, const std::filesystem::path& folder,
                    std::uint64_t bytes) {
  const DiskLimitSpec spec{.folder = folder, .bytes = bytes};
  auto limit = DiskLimit::apply(loop.get_executor(), spec);
  REQUIRE_MESSAGE(limit.has_value(), (limit ? "" : limit.error().message));
  return std::move(*limit);
}

/// A file system of a test's own: the watch goes by free space, which others take and give back.
class PrivateDisk {
 public:
  PrivateDisk() {
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    REQUIRE(::mount("disk", folder_.path().c_str(), "tmpfs", 0, "size=64m") == 0);
  }
  ~PrivateDisk() { ::umount2(folder_.path().c_str(), MNT_DETACH); }
  PrivateDisk(const PrivateDisk&) = delete;
  PrivateDisk& operator=(const PrivateDisk&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }
  std::filesystem::path operator/(std::string_view name) const { return folder_ / name; }

 private:
  TemporaryDirectory folder_;
};

/// A loop-mounted ext4 that enforces project quotas, in a mount namespace of this test's own.
class QuotaDisk {
 public:
  QuotaDisk() {
    const auto image = (folder_ / "image").string();
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      problem_ = std::string("no mount namespace: ") + std::strerror(errno);
      return;
    }
    write_bytes(folder_ / "image", 1);
    if (::truncate(image.c_str(), 64 * mebibyte) != 0) problem_ = "no image";
    std::filesystem::create_directory(root());
    run({"mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota", image});
    run({"mount", "-o", "loop,prjquota", image, root()});
    mounted_ = problem_.empty();
  }
  ~QuotaDisk() {
    if (mounted_) ::umount2(root().c_str(), MNT_DETACH);
  }
  QuotaDisk(const QuotaDisk&) = delete;
  QuotaDisk& operator=(const QuotaDisk&) = delete;

  /// Says aloud why this machine cannot run the test.
  bool missing() const {
    if (!problem_.empty()) MESSAGE("SKIPPED: no ext4 with project quotas here: " << problem_);
    return !problem_.empty();
  }
  std::filesystem::path root() const { return folder_ / "root"; }

 private:
  void run(std::vector<std::string> argv) {
    if (!problem_.empty()) return;
    const auto name = argv.front();
    const auto done = fixtures::output_of({.argv = std::move(argv)});
    if (!done) problem_ = name + ": " + done.error().message;
  }

  TemporaryDirectory folder_;
  std::string problem_;
  bool mounted_ = false;
};

/// errno of a user without rights who writes `bytes` and then makes `files`; 0: all went well.
int errno_of_writer(const std::filesystem::path& folder, std::uint64_t bytes, int files) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(54321) != 0 || ::setuid(54321) != 0 || ::chdir(folder.c_str()) != 0) ::_exit(255);
    const int fd = ::open("written", O_WRONLY | O_CREAT | O_APPEND, 0600);
    static char block[65536];
    for (std::uint64_t done = 0; done < bytes; done += sizeof block)
      if (::write(fd, block, sizeof block) < 0) ::_exit(errno);
    for (int i = 0; i < files; ++i)
      if (::open(("f" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0)
        ::_exit(errno == EMFILE ? 254 : errno);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("disk usage: blocks count, hard links once, sparse files by what they take") {
  TemporaryDirectory folder;
  write_bytes(folder / "file", 3 * mebibyte);
  REQUIRE(::link((folder / "file").c_str(), (folder / "again").c_str()) == 0);
  write_bytes(folder / "sparse", 1);
  REQUIRE(::truncate((folder / "sparse").c_str(), 1LL << 40) == 0);
  const auto walked = walk(folder.path());
  CHECK(walked.count.bytes >= 3 * mebibyte);
  CHECK(walked.count.bytes < 4 * mebibyte);
  CHECK(walked.count.entries == 2);
}

TEST_CASE("disk usage: links are not followed, other file systems not entered") {
  TemporaryDirectory folder;
  TemporaryDirectory outside;
  write_bytes(outside / "large", 4 * mebibyte);
  std::filesystem::create_directory(folder / "sub");
  REQUIRE(::symlink(outside.path().c_str(), (folder / "link").c_str()) == 0);
  REQUIRE(::symlink((outside / "large").c_str(), (folder / "sub/link").c_str()) == 0);
  std::filesystem::create_directory(folder / "mount");
  const bool mounted = ::mount("tmpfs", (folder / "mount").c_str(), "tmpfs", 0, "size=8m") == 0;
  if (mounted) write_bytes(folder / "mount/large", 4 * mebibyte);
  const auto walked = walk(folder.path());
  if (mounted) ::umount((folder / "mount").c_str());
  CHECK(walked.count.bytes < mebibyte);
  CHECK(walked.count.entries == (mounted ? 3 : 4));
}

TEST_CASE("disk usage: a tree deeper than any path and a wide folder are counted, in many pieces") {
  TemporaryDirectory folder;
  constexpr int depth = 3000;
  Descriptor here(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < depth; ++i) {
    REQUIRE(::mkdirat(here.get(), "deep", 0700) == 0);
    REQUIRE(::mkdirat(here.get(), "side", 0700) == 0);
    here = Descriptor(::openat(here.get(), "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(here);
  }
  std::filesystem::create_directory(folder / "wide");
  for (int i = 0; i < 5000; ++i)
    Descriptor(::open((folder / ("wide/" + std::to_string(i))).c_str(), O_CREAT | O_CLOEXEC, 0600));
  const auto whole = walk(folder.path());
  CHECK(whole.count.entries == 2 * depth + 1 + 5000);
  const auto pieces = walk(folder.path(), 0ns);
  CHECK(pieces.count.entries == whole.count.entries);
  CHECK(pieces.steps > 100);
}

TEST_CASE("disk usage: a folder that is moved away below the walk is noticed") {
  TemporaryDirectory folder;
  std::filesystem::create_directory(folder / "elsewhere");
  Descriptor here(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 200; ++i) {
    REQUIRE(::mkdirat(here.get(), "deep", 0700) == 0);
    here = Descriptor(::openat(here.get(), "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  auto walk = TreeWalk::open(folder.path());
  REQUIRE(walk.has_value());
  WalkState state = WalkState::going_on;
  while (state == WalkState::going_on && walk->count().entries < 150) state = walk->step(0ns);
  REQUIRE(state == WalkState::going_on);
  std::filesystem::rename(folder / "deep/deep/deep", folder / "elsewhere/deep");
  while (state == WalkState::going_on) state = walk->step(0ns);
  CHECK(state == WalkState::disturbed);
}

TEST_CASE("disk usage: deleted files that another process holds open count, once") {
  TemporaryDirectory folder;
  write_bytes(folder / "held", 2 * mebibyte);
  struct stat facts {};
  REQUIRE(::stat(folder.path().c_str(), &facts) == 0);
  auto ready = make_pipe();
  auto end = make_pipe();
  REQUIRE(ready.has_value());
  REQUIRE(end.has_value());
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::open((folder / "held").c_str(), O_RDONLY);
    (void)::dup(fd);
    ::unlink((folder / "held").c_str());
    char byte = 'r';
    end->write.close();
    (void)!::write(ready->write.get(), &byte, 1);
    (void)!::read(end->read.get(), &byte, 1);
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready->read.get(), &byte, 1) == 1);
  const auto measure = [&] {
    DeletedFilesWalk walk(facts.st_dev);
    while (walk.step(1ms) == WalkState::going_on) continue;
    return walk.bytes();
  };
  const auto held = measure();
  end->write.close();
  ::waitpid(child, nullptr, 0);
  CHECK(held >= 2 * mebibyte);
  // Others on this machine may hold some too, and let go: only the difference is ours.
  CHECK(measure() + mebibyte < held);
}

TEST_CASE("disk watch: growth over the limit calls back once, with what was measured") {
  PrivateDisk folder;
  asio::io_context loop;
  DiskLimit limit = limit_for(loop, folder.path(), 4 * mebibyte);
  if (limit.layer() != "disk_watch") return;
  write_bytes(folder / "a", mebibyte);
  CHECK_FALSE(watched(loop, limit, 200ms).has_value());
  CHECK_FALSE(limit.full().has_value());
  write_bytes(folder / "b", 5 * mebibyte);
  const auto seen = watched(loop, limit, 10s);
  REQUIRE(seen.has_value());
  CHECK(seen->shortage == DiskShortage::space);
  CHECK(seen->used >= 4 * mebibyte);
  CHECK(describe(*seen).find("4MiB") != std::string::npos);
  CHECK(describe(*seen).find("--disk") != std::string::npos);
  CHECK(limit.full().has_value());
}

TEST_CASE("disk watch: many empty files reach the limit of entries") {
  PrivateDisk folder;
  asio::io_context loop;
  DiskLimit limit = limit_for(loop, folder.path(), 4 * mebibyte);
  if (limit.layer() != "disk_watch") return;
  for (std::uint64_t i = 0; i <= max_disk_entries(4 * mebibyte); ++i)
    Descriptor(::open((folder / std::to_string(i)).c_str(), O_CREAT | O_CLOEXEC, 0600));
  const auto seen = watched(loop, limit, 10s);
  REQUIRE(seen.has_value());
  CHECK(seen->shortage == DiskShortage::entries);
}

TEST_CASE("disk watch: after lift nothing is called any more") {
  TemporaryDirectory folder;
  asio::io_context loop;
  DiskLimit limit = limit_for(loop, folder.path(), mebibyte);
  bool called = false;
  limit.watch([&](const DiskExhaustion&) { called = true; });
  CHECK(limit.lift().has_value());
  CHECK(limit.lift().has_value());
  write_bytes(folder / "a", 4 * mebibyte);
  loop.run_for(200ms);
  CHECK_FALSE(called);
}

TEST_CASE("disk limit: near the floor those go first that hold much; below half of it, all") {
  constexpr std::uint64_t gibibyte = 1 << 30;
  CHECK_FALSE(below_floor(gibibyte, gibibyte, gibibyte));
  CHECK_FALSE(below_floor(mebibyte, gibibyte - 1, gibibyte));
  CHECK(below_floor(64 * mebibyte, gibibyte - 1, gibibyte));
  CHECK(below_floor(0, gibibyte / 2 - 1, gibibyte));
  CHECK_FALSE(below_floor(gibibyte, 0, 0));
}

TEST_CASE("disk limit: a file system that is below the floor takes no job") {
  TemporaryDirectory folder;
  asio::io_context loop;
  const DiskLimitSpec spec{.folder = folder.path(), .bytes = mebibyte, .free_floor = 1ULL << 62};
  const auto limit = DiskLimit::apply(loop.get_executor(), spec);
  REQUIRE_FALSE(limit.has_value());
  CHECK(limit.error().code == ErrorCode::denied);
}

TEST_CASE("disk quota: another user's writes are refused at the limit, and not after lift") {
  QuotaDisk disk;
  if (disk.missing()) return;
  const auto folder = disk.root() / "overlay";
  std::filesystem::create_directory(folder);
  asio::io_context loop;
  DiskLimit limit = limit_for(loop, folder, 8 * mebibyte);
  CHECK(limit.layer() == "disk_quota");
  std::filesystem::create_directory(folder / "upper");
  REQUIRE(::chown((folder / "upper").c_str(), 54321, 54321) == 0);
  CHECK(errno_of_writer(folder / "upper", 4 * mebibyte, 0) == 0);
  CHECK_FALSE(limit.full().has_value());
  CHECK(errno_of_writer(folder / "upper", 8 * mebibyte, 0) == EDQUOT);
  const auto full = limit.full();
  REQUIRE(full.has_value());
  CHECK(full->shortage == DiskShortage::space);
  CHECK(full->used >= 7 * mebibyte);
  CHECK(limit.lift().has_value());
  CHECK(errno_of_writer(folder / "upper", 4 * mebibyte, 0) == 0);
}

TEST_CASE("disk quota: files are bounded too") {
  QuotaDisk disk;
  if (disk.missing()) return;
  asio::io_context loop;
  DiskLimit limit = limit_for(loop, disk.root(), mebibyte);
  REQUIRE(::chmod(disk.root().c_str(), 0777) == 0);
  int last = 0;
  for (int round = 0; round < 4 && last == 0; ++round) {
    const auto sub = disk.root() / std::to_string(round);
    std::filesystem::create_directory(sub);
    REQUIRE(::chmod(sub.c_str(), 0777) == 0);
    last = errno_of_writer(sub, 0, 600);
  }
  CHECK(last == EDQUOT);
  const auto full = limit.full();
  REQUIRE(full.has_value());
  CHECK(full->shortage == DiskShortage::entries);
}

TEST_CASE("disk quota: a project that still owns files is passed over") {
  QuotaDisk disk;
  if (disk.missing()) return;
  for (const char* name : {"dead", "next", "last"})
    std::filesystem::create_directory(disk.root() / name);
  const ProjectQuota::Usage limit{mebibyte, 100};
  auto dead = ProjectQuota::apply(disk.root() / "dead", 7000, 2, limit);
  REQUIRE((dead.has_value() && dead->has_value()));
  write_bytes(disk.root() / "dead/left", 4096);
  auto next = ProjectQuota::apply(disk.root() / "next", 7000, 2, limit);
  REQUIRE((next.has_value() && next->has_value()));
  CHECK((*next)->usage()->bytes < 8192);
  CHECK(ProjectQuota::apply(disk.root() / "last", 7000, 2, limit).error().code ==
        ErrorCode::denied);
}
