// Secret: a value that cannot be printed by accident.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace flow_runner {

/// Holds a secret's bytes. It has no stream operator, no format support and no implicit conversion;
/// whoever needs the bytes says `reveal()`, which can be grepped for. The bytes are overwritten
/// when the object dies or is assigned to (copies made by the caller are the caller's).
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.wipe(); }
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  [[nodiscard]] std::string_view reveal() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return value_.size(); }

 private:
  void wipe() noexcept;
  std::string value_;
};

}  // namespace flow_runner
