#include "config/units.hpp"

#include <array>
#include <doctest/doctest.h>
#include <limits>

using namespace flow_runner;
using std::chrono::milliseconds;

TEST_CASE("units: durations are read with units, combined, and as plain seconds") {
  struct Row {
    std::string_view text;
    long long ms;
  };
  for (const Row& row : {Row{"90s", 90'000},
                         {"30m", 1'800'000},
                         {"2h", 7'200'000},
                         {"14d", 1'209'600'000},
                         {"500ms", 500},
                         {"90", 90'000},
                         {"0", 0},
                         {"1h30m", 5'400'000},
                         {"1m0s500ms", 60'500},
                         {"3660d", max_duration.count()}}) {
    CAPTURE(row.text);
    const auto duration = parse_duration(row.text);
    REQUIRE(duration.has_value());
    CHECK(duration->count() == row.ms);
  }
}

TEST_CASE("units: what is no duration is refused") {
  for (const std::string_view text :
       {"", " 1s", "1 s", "s", "-1s", "+1s", "1.5h", "1h30", "30 m", "1m1h", "1s1s", "1S", "1w",
        "1hm", "3661d", "99999999999999999999s", "18446744073709551615", "1h99999999999999999999m",
        "1s\n"}) {
    CAPTURE(text);
    const auto duration = parse_duration(text);
    REQUIRE(duration.has_error());
    CHECK(duration.error().code == ErrorCode::invalid_input);
  }
}

TEST_CASE("units: sizes are read with binary units and as plain bytes") {
  struct Row {
    std::string_view text;
    std::uint64_t bytes;
  };
  for (const Row& row : {Row{"4GiB", 4ULL << 30},
                         {"512MiB", 512ULL << 20},
                         {"64kib", 64ULL << 10},
                         {"1TiB", 1ULL << 40},
                         {"4096", 4096},
                         {"4096B", 4096},
                         {"0", 0},
                         {"18446744073709551615", std::numeric_limits<std::uint64_t>::max()},
                         {"16777215TiB", 16'777'215ULL << 40}}) {
    CAPTURE(row.text);
    const auto bytes = parse_bytes(row.text);
    REQUIRE(bytes.has_value());
    CHECK(*bytes == row.bytes);
  }
}

TEST_CASE("units: what is no size is refused, and an ambiguous unit with the cure") {
  for (const std::string_view text : {"", "GiB", "-1", "1.5GiB", "1 GiB", "1PiB", "16777216TiB",
                                      "18446744073709551616", "1GiBx", "1GiB1"}) {
    CAPTURE(text);
    CHECK(parse_bytes(text).has_error());
  }
  for (const std::string_view text : {"4g", "4G", "4GB", "4gb", "4Gi"}) {
    CAPTURE(text);
    const auto bytes = parse_bytes(text);
    REQUIRE(bytes.has_error());
    CHECK(bytes.error().message.find("write 4GiB") != std::string::npos);
  }
}

TEST_CASE("units: what the exact formats print is read back") {
  for (const long long ms : {0LL, 1LL, 999LL, 1'000LL, 90'000LL, 5'400'000LL, 86'400'001LL}) {
    CHECK(parse_duration(format_duration(milliseconds(ms)))->count() == ms);
  }
  CHECK(format_duration(milliseconds(5'400'000)) == "1h30m");
  CHECK(format_duration(milliseconds(-5)) == "0s");
  for (const std::uint64_t bytes :
       {0ULL, 1ULL, 1000ULL, 1024ULL, 1536ULL << 20, 4ULL << 30, 18'446'744'073'709'551'615ULL}) {
    CHECK(*parse_bytes(format_bytes(bytes)) == bytes);
  }
  CHECK(format_bytes(1536ULL << 20) == "1536MiB");
  CHECK(format_bytes(1000) == "1000");
}

TEST_CASE("units: the formats for people are short") {
  CHECK(format_duration_rounded(milliseconds(-1)) == "0ms");
  CHECK(format_duration_rounded(milliseconds(340)) == "340ms");
  CHECK(format_duration_rounded(milliseconds(3'449)) == "3.4s");
  CHECK(format_duration_rounded(milliseconds(59'960)) == "1m00s");
  CHECK(format_duration_rounded(milliseconds(125'000)) == "2m05s");
  CHECK(format_duration_rounded(milliseconds(3'720'000)) == "1h02m");
  CHECK(format_duration_rounded(milliseconds(273'600'000)) == "3d04h");
  CHECK(format_bytes_rounded(512) == "512 B");
  CHECK(format_bytes_rounded(1'536) == "1.5 KiB");
  CHECK(format_bytes_rounded(1'048'575) == "1.0 MiB");
  CHECK(format_bytes_rounded(23ULL << 20) == "23 MiB");
  CHECK(format_bytes_rounded(std::numeric_limits<std::uint64_t>::max()) == "16 EiB");
}
