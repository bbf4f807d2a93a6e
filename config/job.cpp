#include "config/job.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

/// Of a limit where 0 means none.
template <class T>
void narrow_limit(T& limit, const std::optional<T>& asked) {
  if (asked && *asked > 0 && (limit == 0 || *asked < limit)) limit = *asked;
}

}  // namespace

void narrow(Job& job, const FlowExtensions& asked) {
  narrow_limit(job.limits.memory_bytes, asked.resources.memory_bytes);
  narrow_limit(job.limits.pids, asked.resources.pids);
  narrow_limit(job.limits.disk_bytes, asked.resources.disk_bytes);
  narrow_limit(job.limits.cpus, asked.resources.cpus);
  if (asked.timeout) job.limits.timeout = std::min(job.limits.timeout, *asked.timeout);
  if (asked.network == NetworkMode::none) job.network = NetworkMode::none;
}

}  // namespace flow_runner
