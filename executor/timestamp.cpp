#include "executor/timestamp.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>

namespace flow_runner {

namespace {

using std::chrono::system_clock;

// Nanoseconds in 64 bits end in the year after.
constexpr int last_year = 2261;

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) return std::nullopt;
  int value = 0;
  for (char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

Error malformed(std::string_view text) {
  return {ErrorCode::invalid_input, "not a time of the form 2026-01-31T23:59:59.999Z: \"" +
                                        std::string(text.substr(0, 40)) + "\""};
}

}  // namespace

std::string format_timestamp(system_clock::time_point at) {
  using namespace std::chrono;
  const auto millis = std::max<sys_time<milliseconds>>(floor<milliseconds>(at), {});
  const auto day = floor<days>(millis);
  const year_month_day date{day};
  const hh_mm_ss time{millis - day};
  char buffer[96];
  std::snprintf(buffer, sizeof buffer, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count()));
  return buffer;
}

Result<system_clock::time_point> parse_timestamp(std::string_view text) {
  using namespace std::chrono;
  const auto y = digits(text, 0, 4), mon = digits(text, 5, 2), d = digits(text, 8, 2);
  const auto h = digits(text, 11, 2), min = digits(text, 14, 2), s = digits(text, 17, 2);
  if (!y || !mon || !d || !h || !min || !s) return malformed(text);
  if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
    return malformed(text);
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*mon)},
                            day{static_cast<unsigned>(*d)}};
  if (!date.ok() || *y < 1970 || *y > last_year || *h > 23 || *min > 59 || *s > 60)
    return malformed(text);

  std::string_view rest = text.substr(19);
  std::int64_t nanos = 0;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    std::int64_t scale = 100'000'000;
    std::size_t count = 0;
    while (count < rest.size() && rest[count] >= '0' && rest[count] <= '9') {
      if (scale == 0) return malformed(text);
      nanos += scale * (rest[count] - '0');
      scale /= 10;
      ++count;
    }
    if (count == 0) return malformed(text);
    rest.remove_prefix(count);
  }
  if (rest != "Z") return malformed(text);
  return time_point_cast<system_clock::duration>(sys_days{date} + hours(*h) + minutes(*min) +
                                                 seconds(*s) + nanoseconds(nanos));
}

}  // namespace flow_runner
