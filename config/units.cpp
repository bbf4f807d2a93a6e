#include "config/units.hpp"

#include <array>
#include <cstdio>
#include <limits>
#include <optional>

namespace flow_runner {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first: formatting and the order within `1h30m` depend on it.
constexpr std::array<Unit, 5> duration_units = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 5> byte_units = {
    {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  std::uint64_t number = 0;
  while (!text.empty() && is_digit(text.front())) {
    const auto digit = static_cast<std::uint64_t>(text.front() - '0');
    if (number > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
    number = number * 10 + digit;
    text.remove_prefix(1);
  }
  return number;
}

std::string_view take_unit(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && !is_digit(text[length])) ++length;
  const std::string_view unit = text.substr(0, length);
  text.remove_prefix(length);
  return unit;
}

Error no_duration() {
  return {ErrorCode::invalid_input,
          "not a duration: write a whole number with d, h, m, s or ms, such as 90s, 30m or 1h30m "
          "(at most 3660d)"};
}

Error no_size() {
  return {ErrorCode::invalid_input,
          "not a size: write a whole number of bytes, or one with KiB, MiB, GiB or TiB, such as "
          "512MiB"};
}

template <class... Args>
std::string print(const char* format, Args... args) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, args...);
  return buffer.data();
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto limit = static_cast<std::uint64_t>(max_duration.count());
  std::uint64_t total = 0;
  bool first = true;
  std::uint64_t smallest_factor = std::numeric_limits<std::uint64_t>::max();
  do {
    const auto number = take_number(text);
    if (!number) return no_duration();
    std::string_view unit = take_unit(text);
    if (unit.empty() && first && text.empty()) unit = "s";
    std::uint64_t factor = 0;
    for (const Unit& known : duration_units) {
      if (unit == known.name) factor = known.factor;
    }
    if (factor == 0 || factor >= smallest_factor) return no_duration();
    if (*number > (limit - total) / factor) return no_duration();
    total += *number * factor;
    smallest_factor = factor;
    first = false;
  } while (!text.empty());
  return std::chrono::milliseconds(total);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto number = take_number(text);
  if (!number) return no_size();
  const std::string_view unit = text.empty() ? std::string_view("B") : text;
  for (const Unit& known : byte_units) {
    if (!same_ignoring_case(unit, known.name)) continue;
    if (*number > std::numeric_limits<std::uint64_t>::max() / known.factor) return no_size();
    return *number * known.factor;
  }
  // Docker's `4g` and a disk maker's `4GB` differ by 7 %: whoever sets a limit should say which
  // one.
  for (const Unit& known : byte_units) {
    const std::string_view letter = known.name.substr(0, 1);
    if (same_ignoring_case(unit, letter) || same_ignoring_case(unit, std::string(letter) + "B") ||
        same_ignoring_case(unit, std::string(letter) + "i")) {
      return Error{ErrorCode::invalid_input, "not a size: write " + std::to_string(*number) +
                                                 std::string(known.name) +
                                                 " (units are KiB, MiB, GiB and TiB)"};
    }
  }
  return no_size();
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration.count() <= 0) return "0s";
  auto rest = static_cast<std::uint64_t>(duration.count());
  std::string text;
  for (const Unit& unit : duration_units) {
    const std::uint64_t count = rest / unit.factor;
    if (count == 0) continue;
    text += std::to_string(count) + std::string(unit.name);
    rest -= count * unit.factor;
  }
  return text;
}

std::string format_bytes(std::uint64_t bytes) {
  for (const Unit& unit : byte_units) {
    if (unit.factor == 1 || bytes == 0) break;
    if (bytes % unit.factor == 0) {
      return std::to_string(bytes / unit.factor) + std::string(unit.name);
    }
  }
  return std::to_string(bytes);
}

std::string format_duration_rounded(std::chrono::milliseconds duration) {
  const long long ms = duration.count() > 0 ? duration.count() : 0;
  if (ms < 1'000) return print("%lldms", ms);
  if (ms < 59'950) return print("%.1fs", static_cast<double>(ms) / 1'000.0);
  const long long seconds = (ms + 500) / 1'000;
  if (seconds < 3'600) return print("%lldm%02llds", seconds / 60, seconds % 60);
  if (seconds < 86'400) return print("%lldh%02lldm", seconds / 3'600, seconds % 3'600 / 60);
  return print("%lldd%02lldh", seconds / 86'400, seconds % 86'400 / 3'600);
}

std::string format_bytes_rounded(std::uint64_t bytes) {
  if (bytes < 1'024) return std::to_string(bytes) + " B";
  static constexpr std::array<const char*, 6> names = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1'024.0;
  std::size_t unit = 0;
  // 1023.5 is where rounding would print 1024 of the smaller unit.
  while (value >= 1'023.5 && unit + 1 < names.size()) {
    value /= 1'024.0;
    ++unit;
  }
  return value < 9.95 ? print("%.1f %s", value, names[unit]) : print("%.0f %s", value, names[unit]);
}

}  // namespace flow_runner
