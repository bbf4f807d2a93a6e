#include <doctest/doctest.h>
#include <sys/stat.h>

#include "executor/publication.hpp"
#include "tests/executor/publication_fixture.hpp"

using namespace flow_runner;
namespace fs = std::filesystem;
using Fixture = PublicationFixture;

TEST_CASE("bundle: it holds the changes and what was kept beside them, and nothing else") {
  Fixture f;
  const auto kept = f.job_commit("kept.txt", "kept\n");
  BundleRequest request{f.quarantine, f.prepared.mirror,      f.base, f.head, target_ref,
                        {},           f.folder / "out.bundle"};
  // Two names that loose refs could not hold at once.
  request.kept_refs = {{"refs/kept/a", kept}, {"refs/kept/a/b", kept}, {"refs/kept/base", f.base}};
  Cancellation cancellation;
  const auto made = run_awaitable(create_bundle(request, f.context, cancellation));
  REQUIRE_MESSAGE(made.has_value(), made.error().message);
  REQUIRE(made->has_value());
  const BundleInfo& info = **made;
  CHECK(info.file == request.file);
  CHECK(info.bytes == fs::file_size(request.file));
  struct stat status {};
  REQUIRE(::stat(request.file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(info.refs.size() == 3);
  CHECK(f.origin.git({"bundle", "list-heads", request.file.string(), target_ref}) ==
        f.head + " " + target_ref);
  f.origin.git({"fetch", "-q", request.file.string(), target_ref + ":refs/heads/applied"});
  CHECK(f.origin.show("applied", "agent.txt") == "new");
  CHECK_FALSE(f.has_leftovers());

  const fs::path mirror = f.prepared.mirror;
  CHECK(run_awaitable(verify_bundle(request.file, mirror, f.context, cancellation)).has_value());
  const fs::path again = f.folder / "again";
  const auto refs = run_awaitable(unbundle(request.file, mirror, again, f.context, cancellation));
  REQUIRE(refs.has_value());
  CHECK(refs->size() == 3);
  auto publication = f.request(f.origin.path());
  publication.mode = PublishMode::local;
  publication.quarantine = again;
  CHECK(f.published(publication).commit == f.head);
}

TEST_CASE("bundle: nothing new makes none") {
  Fixture f;
  BundleRequest request{f.quarantine, f.prepared.mirror,      f.base, f.base, target_ref,
                        {},           f.folder / "out.bundle"};
  Cancellation cancellation;
  CHECK_FALSE(run_awaitable(create_bundle(request, f.context, cancellation)).value().has_value());
  CHECK_FALSE(fs::exists(request.file));
}

TEST_CASE("bundle: a damaged one, and one without its base, are told apart") {
  Fixture f;
  BundleRequest request{f.quarantine, f.prepared.mirror,      f.base, f.head, target_ref,
                        {},           f.folder / "out.bundle"};
  Cancellation cancellation;
  REQUIRE(run_awaitable(create_bundle(request, f.context, cancellation)).has_value());
  const fs::path mirror = f.prepared.mirror;
  fixtures::GitRepository empty(f.folder / "empty");
  const fs::path elsewhere = empty.path() / ".git";
  CHECK(
      run_awaitable(verify_bundle(request.file, elsewhere, f.context, cancellation)).error().code ==
      ErrorCode::not_found);
  auto bytes = fixtures::slurp(request.file);
  bytes[bytes.size() - 30] = static_cast<char>(bytes[bytes.size() - 30] ^ 0x55);
  fixtures::write_file(request.file, bytes);
  const auto damaged = run_awaitable(verify_bundle(request.file, mirror, f.context, cancellation));
  REQUIRE(damaged.has_error());
  CHECK(damaged.error().code != ErrorCode::not_found);
}
