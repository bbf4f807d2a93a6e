// Cancellation: the one place that says whether, and why, a job must stop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace flow_runner {

/// Why a job was told to stop; the first reason given wins.
enum class StopCause { canceled, timeout, idle_timeout, resource_exhausted, runner_interrupted };

/// Used on one thread only. Whoever waits subscribes; a subscription made after the request is
/// called back at once. `kill_now` is the second, impatient request: grace periods end.
class Cancellation {
 public:
  using Callback = std::function<void(StopCause)>;

  /// Removes its callback when destroyed.
  class Subscription {
   public:
    Subscription() = default;
    Subscription(Cancellation& owner, std::uint64_t id) : owner_(&owner), id_(id) {}
    Subscription(Subscription&& other) noexcept;
    Subscription& operator=(Subscription&& other) noexcept;
    ~Subscription();

   private:
    Cancellation* owner_ = nullptr;
    std::uint64_t id_ = 0;
  };

  void request(StopCause cause);
  /// No more patience: implies request(canceled); callbacks of on_kill run.
  void kill_now();

  [[nodiscard]] std::optional<StopCause> requested() const noexcept { return cause_; }
  [[nodiscard]] bool killed() const noexcept { return killed_; }
  [[nodiscard]] Subscription on_request(Callback callback);
  [[nodiscard]] Subscription on_kill(Callback callback);

 private:
  Subscription add(Callback callback, bool on_kill);
  void notify(bool on_kill);

  struct Entry {
    Callback callback;
    bool on_kill;
  };
  std::map<std::uint64_t, Entry> callbacks_;
  std::uint64_t next_id_ = 1;
  std::optional<StopCause> cause_;
  bool killed_ = false;
};

}  // namespace flow_runner
