#include "sandbox/rootless.hpp"

#include <doctest/doctest.h>

using namespace flow_runner;

TEST_CASE("rootless: the first range that is large enough and belongs to the user is taken") {
  const auto by_name =
      parse_subordinate_range("root:1:65536\nann:5:100\nann:100000:65536\n", "ann", 1000);
  REQUIRE(by_name.has_value());
  CHECK(by_name->inside == 1);
  CHECK(by_name->outside == 100000);
  CHECK(by_name->count == 65536);
  const auto by_number = parse_subordinate_range("1000:200000:131072", "ann", 1000);
  REQUIRE(by_number.has_value());
  CHECK(by_number->outside == 200000);
  CHECK(by_number->count == 65536);
}

TEST_CASE("rootless: other users, short ranges and broken lines give nothing") {
  for (const char* file :
       {"", "bob:100000:65536", "ann:100000:65535", "ann:0:65536", "ann:x:65536", "ann:100000",
        "ann:100000:", "ann:1 2:65536", "ann:-5:65536", "ann:99999999999:65536"})
    CHECK_MESSAGE(!parse_subordinate_range(file, "ann", 1000), file);
}
