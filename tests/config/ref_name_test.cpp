#include "config/ref_name.hpp"

#include <doctest/doctest.h>

using namespace flow_runner;
using namespace std::string_view_literals;

TEST_CASE("ref name: a workload ref is a branch, or a full ref as given") {
  CHECK(full_ref("workloads/c727f70ba7f").value() == "refs/heads/workloads/c727f70ba7f");
  CHECK(full_ref("refs/workloads/c727f70ba7f").value() == "refs/workloads/c727f70ba7f");
  CHECK(full_ref("refs/heads/main").value() == "refs/heads/main");
  CHECK(full_ref("heads/x").value() == "refs/heads/heads/x");
  CHECK(full_ref("duo/fix-a_b.c@d").value() == "refs/heads/duo/fix-a_b.c@d");
  CHECK(full_ref("\xC3\xA9").value() == "refs/heads/\xC3\xA9");
}

TEST_CASE("ref name: what git refuses is refused") {
  for (const std::string_view name : {""sv,
                                      "/"sv,
                                      "/x"sv,
                                      "x/"sv,
                                      "x//y"sv,
                                      ".x"sv,
                                      "x/.y"sv,
                                      "x."sv,
                                      "x.lock"sv,
                                      "x.lock/y"sv,
                                      "x..y"sv,
                                      "x y"sv,
                                      "x~1"sv,
                                      "x^"sv,
                                      "x:y"sv,
                                      "x?"sv,
                                      "x*"sv,
                                      "x[0]"sv,
                                      "x\\y"sv,
                                      "x@{1}"sv,
                                      "@"sv,
                                      "x\ny"sv,
                                      "x\x7Fy"sv,
                                      "x\0y"sv,
                                      "-x"sv,
                                      "HEAD"sv,
                                      "\xFF"sv,
                                      "refs/"sv,
                                      "refs//x"sv,
                                      "refs/heads/"sv,
                                      "refs/heads/-x"sv,
                                      "refs/heads/HEAD"sv,
                                      "refs/x.lock"sv,
                                      "refs/heads/../../config"sv}) {
    CAPTURE(name);
    const auto ref = full_ref(name);
    REQUIRE(ref.has_error());
    CHECK(ref.error().code == ErrorCode::invalid_input);
  }
}

TEST_CASE("ref name: a full ref must be one") {
  CHECK(check_full_ref("refs/heads/x").has_value());
  CHECK(check_full_ref("refs/tags/v1.0").has_value());
  CHECK(check_full_ref("heads/x").has_error());
  CHECK(check_full_ref("HEAD").has_error());
  CHECK(check_full_ref("refs").has_error());
}

TEST_CASE("ref name: its length has a limit") {
  const std::string longest(max_ref_name_bytes - std::string_view("refs/heads/").size(), 'x');
  CHECK(full_ref(longest).has_value());
  CHECK(full_ref(longest + "x").has_error());
}

TEST_CASE("ref name: an error shows the name without its control characters") {
  const auto ref = full_ref("x\x1B[31m\n");
  REQUIRE(ref.has_error());
  CHECK(ref.error().message.find('\x1B') == std::string::npos);
  CHECK(ref.error().message.find('\n') == std::string::npos);
}
