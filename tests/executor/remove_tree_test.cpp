#include "executor/remove_tree.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/descriptor.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
namespace fs = std::filesystem;

TEST_CASE("remove tree: a tree deeper than any path and any descriptor limit goes") {
  const fixtures::TemporaryDirectory folder;
  fs::create_directory(folder / "tree");
  Descriptor at(::open((folder / "tree").c_str(), O_DIRECTORY | O_CLOEXEC));
  const std::string name(200, 'd');
  for (int depth = 0; depth < 3000; ++depth) {
    REQUIRE(::mkdirat(at.get(), name.c_str(), 0700) == 0);
    at = Descriptor(::openat(at.get(), name.c_str(), O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at.get() >= 0);
  }
  at.close();
  rlimit usual{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
  const rlimit few{.rlim_cur = 100, .rlim_max = usual.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const auto removed = remove_tree(folder / "tree");
  ::setrlimit(RLIMIT_NOFILE, &usual);
  CHECK_MESSAGE(removed.has_value(), (removed ? "" : removed.error().message));
  CHECK_FALSE(fs::exists(folder / "tree"));
}

TEST_CASE("remove tree: links are removed and never followed, closed folders are opened") {
  const fixtures::TemporaryDirectory folder;
  fixtures::write_file(folder / "outside/kept", "x");
  fixtures::write_file(folder / "tree/closed/file", "x");
  fs::create_directory_symlink(folder / "outside", folder / "tree/link");
  REQUIRE(::mkfifo((folder / "tree/fifo").c_str(), 0600) == 0);
  REQUIRE(::chmod((folder / "tree/closed").c_str(), 0) == 0);
  fixtures::write_file(folder / "tree/.removing-0/file", "x");
  REQUIRE(remove_tree(folder / "tree").has_value());
  CHECK_FALSE(fs::exists(folder / "tree"));
  CHECK(fs::exists(folder / "outside/kept"));

  fs::create_directory_symlink(folder / "outside", folder / "link");
  REQUIRE(remove_tree(folder / "link").has_value());
  CHECK_FALSE(fs::is_symlink(folder / "link"));
  CHECK(fs::exists(folder / "outside/kept"));
}

TEST_CASE("remove tree: what is not there is no error") {
  const fixtures::TemporaryDirectory folder;
  CHECK(remove_tree(folder / "nothing").has_value());
}
