// What a host offers: read from the host that runs the test, which can run jobs.
#include <algorithm>
#include <doctest/doctest.h>

#include "sandbox/host_check.hpp"
#include "sandbox/host_trial.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;

TEST_CASE("host check: kernel releases compare by number") {
  CHECK(is_kernel_at_least("5.19.0", 5, 19));
  CHECK(is_kernel_at_least("6.1.0-13-amd64", 5, 19));
  CHECK(is_kernel_at_least("10.2", 5, 19));
  CHECK_FALSE(is_kernel_at_least("5.9.16", 5, 19));
  CHECK_FALSE(is_kernel_at_least("4.20", 5, 19));
  CHECK_FALSE(is_kernel_at_least("", 5, 19));
  CHECK_FALSE(is_kernel_at_least("unknown", 5, 19));
}

TEST_CASE("host check: programs that are not beside flow-runner are named, with a cure") {
  const fixtures::TemporaryDirectory folder;
  const auto facts = check_host({folder.path(), folder / "nowhere", {}});
  const auto fact = std::find_if(facts.begin(), facts.end(),
                                 [](const HostFact& one) { return one.name == "programs"; });
  REQUIRE(fact != facts.end());
  CHECK(fact->state == HostState::missing);
  CHECK(fact->detail.find("flow-runner-proxy") != std::string::npos);
  CHECK_FALSE(fact->cure.empty());
}

TEST_CASE("host check: every fact that is not good has a cure, and the mounts of a job work here") {
  const fixtures::TemporaryDirectory folder;
  for (const auto& fact : check_host({folder.path(), folder.path(), {}})) {
    CHECK_MESSAGE((fact.state == HostState::good) == fact.cure.empty(), fact.name);
    if (fact.name == "mounts") CHECK_MESSAGE(fact.state == HostState::good, fact.detail);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("host check: without a user namespace the reason is a fact, and no mount is tried") {
  const fixtures::TemporaryDirectory folder;
  const auto facts =
      check_host({folder.path(), folder.path(), Error{ErrorCode::denied, "no subordinate ids"}});
  bool told = false;
  for (const auto& fact : facts) {
    CHECK(fact.name != "mounts");
    told |= fact.name == "rights" && fact.state == HostState::missing &&
            fact.detail == "no subordinate ids";
  }
  CHECK(told);
}

TEST_CASE("host trial: a folder that is not there is an error that names it") {
  const fixtures::TemporaryDirectory folder;
  const auto file = folder / "file";
  fixtures::write_file(file, "not a folder");
  const auto tried = try_job_mounts(file);
  REQUIRE_FALSE(tried.has_value());
  CHECK(tried.error().message.find(file.string()) != std::string::npos);
}
