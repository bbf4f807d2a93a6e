#include "sandbox/cancellation.hpp"

#include <utility>
#include <vector>

namespace flow_runner {

Cancellation::Subscription::Subscription(Subscription&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}

Cancellation::Subscription& Cancellation::Subscription::operator=(Subscription&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(id_, other.id_);
  return *this;
}

Cancellation::Subscription::~Subscription() {
  if (owner_ != nullptr) owner_->callbacks_.erase(id_);
}

void Cancellation::request(StopCause cause) {
  if (cause_) return;
  cause_ = cause;
  notify(false);
}

void Cancellation::kill_now() {
  request(StopCause::canceled);
  if (std::exchange(killed_, true)) return;
  notify(true);
}

Cancellation::Subscription Cancellation::on_request(Callback callback) {
  if (cause_) callback(*cause_);
  return add(std::move(callback), false);
}

Cancellation::Subscription Cancellation::on_kill(Callback callback) {
  if (killed_) callback(*cause_);
  return add(std::move(callback), true);
}

Cancellation::Subscription Cancellation::add(Callback callback, bool on_kill) {
  const std::uint64_t id = next_id_++;
  callbacks_.emplace(id, Entry{std::move(callback), on_kill});
  return {*this, id};
}

void Cancellation::notify(bool on_kill) {
  // A callback may end a subscription, its own included: walk over ids, not iterators.
  std::vector<std::uint64_t> ids;
  for (const auto& [id, entry] : callbacks_)
    if (entry.on_kill == on_kill) ids.push_back(id);
  for (const std::uint64_t id : ids) {
    const auto found = callbacks_.find(id);
    if (found == callbacks_.end()) continue;
    const Callback callback = found->second.callback;
    callback(*cause_);
  }
}

}  // namespace flow_runner
